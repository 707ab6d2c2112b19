"""The committed scores on the digital twin: no change may make them worse unnoticed."""

import json
from pathlib import Path

import pytest

from trinetra.benchmarks.accuracy import shortfalls, summarise
from trinetra.benchmarks.accuracy_page import as_markdown
from trinetra.commands.baseline import check_baseline
from trinetra.errors import ConfigurationError

REPOSITORY = Path(__file__).parents[3]
COMMITTED = REPOSITORY / "benchmarks" / "accuracy.json"


def runs() -> dict[int, dict[str, float]]:
    return {1: {"hota": 0.80, "splits": 10.0}, 2: {"hota": 0.82, "splits": 12.0}}


def test_no_score_of_the_small_store_is_worse_than_the_committed_one() -> None:
    check_baseline(COMMITTED)


def test_the_page_shows_the_committed_scores() -> None:
    page = REPOSITORY / "docs" / "accuracy.md"
    real = json.loads((REPOSITORY / "benchmarks" / "real.json").read_text())
    assert page.read_text() == as_markdown(real, json.loads(COMMITTED.read_text()))


def test_noise_is_twice_the_deviation_between_seeds() -> None:
    summary = summarise(runs())
    assert summary["hota"]["mean"] == pytest.approx(0.81)
    assert summary["splits"]["noise"] == pytest.approx(2 * 2**0.5, abs=1e-4)
    assert summary["hota"]["by_seed"] == {"1": 0.8, "2": 0.82}


@pytest.mark.parametrize(
    ("measured", "worse"),
    [
        ({"hota": 0.80, "splits": 10.0}, set()),
        ({"hota": 0.95, "splits": 0.0}, set()),
        ({"hota": 0.79, "splits": 12.5}, set()),
        ({"hota": 0.76, "splits": 10.0}, {"hota"}),
        ({"hota": 0.80, "splits": 13.0}, {"splits"}),
    ],
)
def test_only_a_fall_beyond_the_noise_counts(measured: dict[str, float], worse: set[str]) -> None:
    assert set(shortfalls(measured, summarise(runs()), 1)) == worse


def test_a_score_that_is_no_longer_measured_counts_as_fallen() -> None:
    assert set(shortfalls({"splits": 10.0}, summarise(runs()), 1)) == {"hota"}


def test_a_file_that_is_not_a_baseline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        check_baseline(path)
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="not a baseline"):
        check_baseline(path)
