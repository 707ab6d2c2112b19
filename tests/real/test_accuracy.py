"""The committed scores on real footage: no change may make them worse unnoticed.

The networks run on 1,300 pictures, which takes most of a minute; their detections are kept in the
cache folder.
"""

import json
from pathlib import Path

import pytest
from tests.flows.commands import Commands

from trinetra.benchmarks.real import OURS, Row
from trinetra.benchmarks.stock_trackers import STOCK_TRACKERS
from trinetra.commands import evaluate
from trinetra.commands.real import check_against, check_plates
from trinetra.errors import ConfigurationError
from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.reading.footage import find_footage
from trinetra.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
BASELINE = REPOSITORY / "benchmarks" / "real.json"
NOTES = REPOSITORY / "benchmarks" / "real.toml"

pytestmark = pytest.mark.weights


@pytest.fixture
def views(real_dir: Path, models_dir: Path) -> tuple[LabeledView, ...]:
    found = find_footage(real_dir, NOTES)
    assert found.problems == ()
    return found.views


@pytest.fixture
def campus(views: tuple[LabeledView, ...]) -> LabeledView:
    return next(view for view in views if view.name == "tud_campus")


def test_no_score_is_worse_than_the_committed_one(views: tuple[LabeledView, ...]) -> None:
    check_against(BASELINE, views, load_settings())


def test_no_fewer_plates_are_read_than_in_the_committed_scores(
    plates_dir: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_plates(BASELINE, plates_dir, load_settings())
    assert "plates of 2 regions are read as well" in capsys.readouterr().out


def test_the_committed_scores_are_of_all_recordings(views: tuple[LabeledView, ...]) -> None:
    rows = map(Row.of_json, json.loads(BASELINE.read_text())["rows"])
    assert {row.view for row in rows if row.tracker == OURS} == {view.name for view in views}


def test_a_score_that_fell_is_named(campus: LabeledView, tmp_path: Path) -> None:
    document = json.loads(BASELINE.read_text())
    for row in document["rows"]:
        for score in row["scores"]:
            score["value"] += 1.0
    raised = tmp_path / "raised.json"
    raised.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match="hota of tud_campus at 5 fps is 0"):
        check_against(raised, [campus], load_settings(), rates=[5.0])


def test_a_file_that_is_not_a_baseline_is_refused(campus: LabeledView, tmp_path: Path) -> None:
    path = tmp_path / "real.json"
    path.write_text('{"rows": [{}]}')
    with pytest.raises(ConfigurationError, match="not a baseline"):
        check_against(path, [campus], load_settings())


def test_the_command_scores_stock_trackers_on_the_same_boxes(campus: LabeledView) -> None:
    commands = Commands("eval", evaluate.register)
    arguments = ("--dir", campus.source.parents[1], "--notes", NOTES, "--view", campus.name)
    document = json.loads(commands.output("real", *arguments, "--fps", 5, "--json"))
    rows = [Row.of_json(row) for row in document["rows"]]
    assert [row.tracker for row in rows] == [OURS, *STOCK_TRACKERS]
    boxes = {score.n for row in rows for score in row.scores if score.name == "idf1"}
    assert len(boxes) == 1, "every tracker is scored on the same true boxes"


def test_a_recording_that_cannot_be_read_is_left_out(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "gt.txt").write_text("1,1,0,0,9,9,1\n")
    commands = Commands("eval", evaluate.register)
    told = commands.output_and_notes("real", "--dir", tmp_path, "--fps", 5)
    assert "broken.mp4 cannot be read as video" in told.replace("\n", " ")
    with pytest.raises(ConfigurationError, match="not measured"):
        check_against(BASELINE, find_footage(tmp_path).views, load_settings())


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    failure = Commands("eval", evaluate.register).failed("real", "--dir", tmp_path)
    assert "no such labeled recording" in str(failure)
