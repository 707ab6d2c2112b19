"""The ``trinetra eval`` commands."""

import json
from pathlib import Path

import pytest
import typer
from tests.unit.evaluation.twin_truth import as_lines, stamp, twin_lines
from typer.testing import CliRunner

from trinetra.commands import evaluate
from trinetra.errors import ConfigurationError, TrinetraError
from trinetra.evaluation.clip import Counts, LineCounts, ZoneCounts
from trinetra.wiring.hand_counts import read_counts

SITE = """
site: shop
timezone: UTC
cameras:
  - id: door
    role: face
    source: {file: nowhere.mp4}
    lines: [{id: step, a: [0.2, 0.5], b: [0.8, 0.5]}]
  - {id: aisle, role: tracking, source: {file: nowhere.mp4}}
"""


def run(*arguments: object) -> str:
    """Return what the command prints; exceptions propagate."""
    app = typer.Typer()
    evaluate.register(app)
    result = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    if isinstance(result.exception, TrinetraError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return a twin's ground truth, and the tracks that a perfect tracker would produce."""
    truth, events = tmp_path / "truth.jsonl", tmp_path / "events.jsonl"
    truth.write_text(as_lines(twin_lines()))
    tracks = [
        {
            "type": "tracks",
            "event_id": f"k{i}",
            "site_id": "shop",
            "camera_id": "door",
            "captured_at": stamp(t),
            "frame_seq": i,
            "frame_width": 640,
            "frame_height": 480,
            "tracks": [{"track_id": f"t{t > 1}", "label": "person", "box": [10, 20, 70, 170]}],
        }
        for i, t in enumerate((0.0, 0.2, 5.0))
    ]
    crossing = {
        "type": "line_crossing",
        "event_id": "x",
        "site_id": "shop",
        "camera_id": "door",
        "captured_at": stamp(1.2),
        "line_id": "step",
        "direction": "in",
        "track_id": "t",
        "label": "person",
    }
    events.write_text(as_lines([*tracks, crossing]))
    return truth, events


def scores(kind: str, files: tuple[Path, Path], *more: object) -> dict[str, dict[str, object]]:
    truth, events = files
    document = json.loads(run(kind, "--truth", truth, "--events", events, "--json", *more))
    assert document["kind"] == kind
    return {f"{s['name']} {s.get('of', '')}".strip(): s for s in document["scores"]}


def test_tracks_are_scored_as_json(files: tuple[Path, Path]) -> None:
    told = scores("tracks", files)
    assert [told[name]["value"] for name in ("hota", "idf1", "mota", "missed")] == [1, 1, 1, 0]


def test_insights_are_scored_as_json(files: tuple[Path, Path]) -> None:
    told = scores("insights", files)
    assert told["footfall_error door/step in"]["value"] == 0.0
    assert told["crossing_recall door/step in"]["value"] == 1.0
    assert told["queue_wait_error"] == {
        "name": "queue_wait_error",
        "value": None,
        "unit": "s",
        "truth": 12.0,
        "note": "not measured: no event contains it",
    }


def test_identities_of_tracks_without_decisions_are_unknown(files: tuple[Path, Path]) -> None:
    told = scores("identities", files, "--camera", "door")
    assert told["identity_recall"]["value"] == 0.0
    assert told["people_error"]["value"] == -1.0


def test_the_table_shows_every_score_and_its_notes(files: tuple[Path, Path]) -> None:
    truth, events = files
    shown = run("insights", "--truth", truth, "--events", events)
    for text in ("footfall error", "not measured: no event contains it", "95 % interval"):
        assert text in shown


def test_detections_need_frames_that_are_in_both(files: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigurationError, match="both in the truth and in the events"):
        run("detections", "--truth", files[0], "--events", files[1])


@pytest.mark.parametrize(
    ("start", "message"), [("noon", "--start noon"), ("2026-11-22T12:00:00", "end it with Z")]
)
def test_a_start_must_be_an_instant(files: tuple[Path, Path], start: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run("tracks", "--truth", files[0], "--events", files[1], "--start", start)


# --- eval clip --------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"never decoded: the counts are refused first")
    return path


def test_counts_are_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "counts.yaml"
    path.write_text("people: 3\nlines: {step: {in: 2, out: ['0:07']}}\nzones: {mat: {stays: 1}}\n")
    assert read_counts(path) == Counts(
        people=3,
        lines={"step": LineCounts(into=2, out=["0:07"])},
        zones={"mat": ZoneCounts(stays=1)},
    )


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("people: many\n", "1:9", "Expected `int | null`"),
        ("lines:\n  step: {in: 1}\n  gate: {in: 1, sideways: 2}\n", "3:9", "sideways"),
        ("lines:\n  step: {in: 1.5}\n", "2:14", "Expected"),
        ("- 3\n", "1:1", "Expected `object`"),
        ("people: [\n", "", "counts.yaml:"),
    ],
)
def test_malformed_counts_are_told_with_line_and_column(
    tmp_path: Path, text: str, where: str, message: str
) -> None:
    path = tmp_path / "counts.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_counts(path)
    assert str(caught.value).startswith(f"{path}:{where}")


def test_an_audit_needs_counts(video: Path) -> None:
    app = typer.Typer()
    evaluate.register(app)
    result = CliRunner().invoke(app, ["eval", "clip", str(video)])
    assert result.exit_code == 2
    assert "--persons" in result.output


def test_an_audit_asks_which_camera_took_the_clip(video: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    with pytest.raises(ConfigurationError, match="there are aisle, door"):
        run("clip", video, "--persons", 3, "--site", site)


def test_counts_of_a_line_that_the_camera_lacks_are_refused(video: Path, tmp_path: Path) -> None:
    site, counts = tmp_path / "site.yaml", tmp_path / "counts.yaml"
    site.write_text(SITE)
    counts.write_text("lines: {gate: {in: 2}}\n")
    with pytest.raises(ConfigurationError, match="line gate is not in the site file; it has step"):
        run("clip", video, "--counts", counts, "--site", site, "--camera", "door")


@pytest.mark.clips
@pytest.mark.weights
def test_three_people_counted_in_the_clip_of_three_agree(
    clips_dir: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRINETRA_MODELS_DIR", str(models_dir))
    events = tmp_path / "kept.jsonl"
    clip = clips_dir / "face-demographics-walking-and-pause.mp4"
    told = json.loads(run("clip", clip, "--persons", 3, "--events", events, "--json"))
    found = {score["of"]: score for score in told["scores"]}
    assert found["people followed (tracks)"]["value"] == 1.0
    assert found["people recognized (customers)"]["value"] == 1.0
    assert found["people recognized (customers)"]["interval"][0] < 0.5
    assert events.stat().st_size > 0
