"""The demo on the five real clips, as a user runs it: required findings and output."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from trinetra.events.codec import decode
from trinetra.events.schema import (
    AnyEvent,
    DetectionEvent,
    IdentityEvent,
    SiteOccupancy,
    TracksEvent,
    ZoneStay,
)

pytestmark = [pytest.mark.clips, pytest.mark.weights]
CAMERAS = {
    "entrance": "entrance",
    "welcome": "face",
    "aisle": "tracking",
    "till": "billing",
    "parking": "vehicle",
}


@dataclass(frozen=True)
class Demo:
    """The output of one run."""

    events: list[AnyEvent]
    summary: dict[str, object]
    terminal: str

    def camera(self, name: str) -> dict[str, int]:
        return self.summary["cameras"][name]

    def identities(self, camera: str) -> list[IdentityEvent]:
        return [e for e in self.events if isinstance(e, IdentityEvent) and e.camera_id == camera]


@pytest.fixture(scope="module")
def demo(clips_dir: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    events, summary = folder / "out.jsonl", folder / "out.json"
    environ = {
        **os.environ,
        "TRINETRA_SAMPLES_DIR": str(clips_dir),
        "TRINETRA_MODELS_DIR": str(models_dir),
    }
    command = ["demo", "--once", "--events", str(events), "--summary", str(summary)]
    done = subprocess.run(
        [sys.executable, "-m", "trinetra.cli", *command],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = events.read_bytes().splitlines()
    return Demo([decode(line) for line in lines], json.loads(summary.read_text()), done.stdout)


def test_the_summary_has_every_camera_with_its_role_and_figures(demo: Demo) -> None:
    assert {name: demo.camera(name)["role"] for name in demo.summary["cameras"]} == CAMERAS
    assert demo.summary.keys() == {"cameras", "customers", "insights", "seconds"}
    for name in CAMERAS:
        figures = demo.camera(name)
        assert figures.keys() == {
            "role",
            "frames_read",
            "frames_inferred",
            "persons",
            "faces",
            "vehicles",
            "tracks",
        }
        assert 0 < figures["frames_inferred"] <= figures["frames_read"]
    assert demo.camera("till")["frames_read"] == 1394


def test_people_are_found_on_every_people_camera(demo: Demo) -> None:
    for name in ("entrance", "welcome", "aisle", "till"):
        assert demo.camera(name)["persons"] > 30
        assert demo.camera(name)["tracks"] >= 2


def test_faces_are_found_on_both_face_clips(demo: Demo) -> None:
    assert demo.camera("entrance")["faces"] > 20
    assert demo.camera("welcome")["faces"] > 60


def test_vehicles_are_found_on_the_vehicle_clip(demo: Demo) -> None:
    assert demo.camera("parking")["vehicles"] > 10
    assert demo.camera("parking")["persons"] == 0


def test_three_people_before_the_face_camera_are_exactly_three_customers(demo: Demo) -> None:
    seen = {e.customer_id for e in demo.identities("welcome") if e.customer_id}
    assert len(seen) == 3
    assert demo.summary["customers"] == 3


def test_faces_too_small_to_know_stay_unknown_and_the_events_say_so(demo: Demo) -> None:
    said = demo.identities("entrance")
    assert said
    assert {e.status for e in said} == {"unknown"}
    assert all("face_too_small" in e.reasons for e in said)
    assert all(e.customer_id is None for e in said)
    faces = [
        f
        for e in demo.events
        if isinstance(e, DetectionEvent) and e.camera_id == "entrance"
        for f in e.faces
    ]
    assert {f.embedding for f in faces} == {None}
    assert {f.unusable for f in faces} == {"too_small"}


def test_six_visitors_make_six_separate_stays_at_the_table(demo: Demo) -> None:
    stays = {e.event_id: e for e in demo.events if isinstance(e, ZoneStay) and e.zone_id == "table"}
    assert len(stays) == 6
    assert all(3 < stay.dwell_s < 40 for stay in stays.values())
    assert demo.summary["insights"]["zone_stays"]["table"]["stays"] == 6


def test_no_event_holds_pixels_and_every_one_has_its_place_and_time(demo: Demo) -> None:
    assert all(e.site_id == "demo-shop" for e in demo.events)
    of_cameras = [e for e in demo.events if not isinstance(e, SiteOccupancy)]
    assert all(e.camera_id in CAMERAS for e in of_cameras)
    assert all(e.captured_at.tzinfo for e in demo.events)


def test_every_detected_frame_was_tracked_and_every_track_came_to_its_end(demo: Demo) -> None:
    detected = [e.frame_seq for e in demo.events if isinstance(e, DetectionEvent)]
    tracked = [e for e in demo.events if isinstance(e, TracksEvent)]
    assert Counter(detected).keys() == Counter(e.frame_seq for e in tracked).keys()
    seen = {track.track_id for e in tracked for track in e.tracks}
    assert seen == {track_id for e in tracked for track_id in e.ended}


def test_the_terminal_shows_a_row_per_camera_and_per_insight(demo: Demo) -> None:
    for name in (*CAMERAS, "customers", "footfall", "stays at table", "visits", "alerts"):
        assert name in demo.terminal
    assert "Traceback" not in demo.terminal
