"""The Python API on a real clip: run it, read its events as tables, and score it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import trinetra
from trinetra.events.schema import DetectionEvent

pytestmark = [pytest.mark.clips, pytest.mark.weights]
MORNING = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(
    clips_dir: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> trinetra.ClipRun:
    """Return the run of a clip in which three people walk up to the camera and pause."""
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRINETRA_DATA_DIR", str(data))
        patch.setenv("TRINETRA_STORE_URL", f"sqlite:///{data}/insights.db")
        found = trinetra.run_clip(
            clips_dir / "face-demographics-walking-and-pause.mp4",
            zones={"front": [(0, 0), (1, 0), (1, 1), (0, 1)]},
            start=MORNING,
        )
    assert not list(data.iterdir()), "a clip must not be recorded as what happened in the shop"
    return found


def test_every_frame_of_the_clip_is_an_event_from_its_start_on(run: trinetra.ClipRun) -> None:
    frames = [event for event in run.events if isinstance(event, DetectionEvent)]
    assert frames[0].captured_at == MORNING
    assert run.table("detection").num_rows == len(frames)


def test_the_three_people_are_recognized_and_scored(run: trinetra.ClipRun) -> None:
    scored = trinetra.score_clip(run, {"people": 3})
    assert scored.sheet.value("agreement", "people recognized (customers)") == 1.0
    assert scored.causes == ()
    rows = {row["of"]: row for row in scored.table().to_pylist()}
    assert rows["people recognized (customers)"]["truth"] == 3


def test_a_table_has_each_insight_once_in_its_last_state(run: trinetra.ClipRun) -> None:
    visits = run.table("visit").to_pylist()
    assert len({row["event_id"] for row in visits}) == len(visits)
    ids = [event.event_id for event in run.events]
    assert any(ids.count(row["event_id"]) > 1 for row in visits), "the clip has no visit that grew"


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ({}, "no counts given"),
        ({"lines": {"door": {"in": 1}}}, "line door is not in the site file"),
        ({"people": "many"}, "the counts cannot be read: Expected"),
    ],
)
def test_impossible_counts_are_refused(
    run: trinetra.ClipRun, counts: dict[str, object], complaint: str
) -> None:
    with pytest.raises(trinetra.ConfigurationError, match=complaint):
        trinetra.score_clip(run, counts)
