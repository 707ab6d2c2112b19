"""The committed scores on the digital twin: no change may make them worse unnoticed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trinetra.benchmarks import accuracy_table
from trinetra.benchmarks.accuracy import (
    AS_MEASURED,
    STORES,
    Run,
    bands,
    measure_store,
    shortfalls,
    summarise,
)
from trinetra.benchmarks.accuracy_page import as_markdown
from trinetra.commands.baseline import check_baseline, updated
from trinetra.errors import ConfigurationError
from trinetra.twin.scenario import NOISES

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


def test_stores_stay_in_order_of_size_in_whatever_order_they_are_measured() -> None:
    document: dict[str, Any] = {
        "stores": {"busy": {}, "small": {}},
        "photos": {"medium": {}, "small": {}},
    }
    kept = updated(document, (), None)
    assert list(kept["stores"]) == ["small", "busy"]
    assert list(kept["photos"]) == ["small", "medium"]


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


def pretended(runs: Sequence[Run]) -> list[dict[str, float]]:
    """Return scores that fall with misses and with the seed, and rise with blur."""
    return [
        {
            "hota": 0.9
            - 0.01 * run.seed
            - 0.1 * (run.factor if run.noise == "misses" else 1.0)
            + 0.05 * (run.factor if run.noise == "blur" else 1.0)
        }
        for run in runs
    ]


def test_a_store_is_measured_under_every_seed_and_with_every_noise() -> None:
    measured: list[Run] = []

    def noted(runs: Sequence[Run]) -> list[dict[str, float]]:
        measured.extend(runs)
        return pretended(runs)

    store = measure_store(STORES["small"], None, noted)
    assert [run.seed for run in measured if not run.noise] == [1, 2, 3, 4]
    swept = {(run.noise, run.factor) for run in measured if run.noise}
    assert swept == {(noise, factor) for noise in NOISES for factor in (0.5, 2.0, 4.0)}
    assert store["with_photos"] == 0


def test_every_noise_of_a_run_is_as_strong_as_asked_for() -> None:
    for noise in NOISES:
        sensing = Run(STORES["small"], 1, noise, 4.0).twin().scenario.sensing
        strong = {name for name in NOISES if getattr(sensing, name) == 4.0}
        assert strong == {noise}


def test_a_band_is_the_range_over_the_sweep() -> None:
    store = measure_store(STORES["small"], None, pretended)
    band = bands(store)["hota"]
    assert (band.low, band.high) == pytest.approx((0.54, 0.99))
    assert (band.low_at, band.high_at) == ("misses x4", "blur x4")


def test_a_score_that_no_noise_makes_worse_is_said_to_be_as_measured() -> None:
    runs = {1: {"hota": 0.5}}
    store = {"scores": summarise(runs), "sweep": {"blur": {"4": {"hota": 0.5}}}}
    assert bands(store)["hota"] == (0.5, AS_MEASURED, 0.5, AS_MEASURED)


def test_the_page_gives_every_figure_with_its_band_and_the_noise_that_moves_it_most() -> None:
    stores = {"small": measure_store(STORES["small"], None, pretended)}
    page = accuracy_table.as_markdown(
        {"stores": stores, "photos": {"small": {**stores["small"], "with_photos": 0.7}}}
    )
    assert "| hota | high | 0.825 ± 0.013 [0.540, 0.990] |" in page
    assert "| hota | 0.540, misses x4 |" in page
    assert "70% with photos" in page
    assert "With photos" not in accuracy_table.as_markdown({"stores": stores})
