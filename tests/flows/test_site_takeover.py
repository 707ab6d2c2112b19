"""Running services take a changed site file over without losing a frame of any other camera."""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.servers.clips import write_clip

from trinetra.detections.service import InferenceThread
from trinetra.events.codec import decode
from trinetra.events.derivation import Span
from trinetra.events.schema import DetectionEvent
from trinetra.hosting import host
from trinetra.settings import Settings
from trinetra.site import load_site
from trinetra.values import CameraId, FaceVectors, no_detections, no_faces
from trinetra.wiring.assembly import Playback
from trinetra.wiring.networks import Networks
from trinetra.wiring.platform import Platform, embedded
from trinetra.wiring.profiles import choose_profile

EVER = Span(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
DOOR, YARD, TILL = CameraId("door"), CameraId("yard"), CameraId("till")
SITE = """\
site: shop
timezone: UTC
cameras:
  - id: door  # the one that must not miss a frame
    role: tracking
    source: {file: clip.mp4, loop: true}
    lines:
      - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}
  - id: yard
    role: tracking
    source: {file: clip.mp4, loop: true}
"""
NEW_TILL = """\
  - id: till
    role: tracking
    source: {file: clip.mp4, loop: true}
"""


class Nobody:
    """Networks that find nothing."""

    def detect(self, images):
        return [no_detections() for _ in images]

    def find(self, images):
        return [no_faces() for _ in images]

    def embed(self, aligned):
        return FaceVectors(np.zeros((len(aligned), 512), np.float32), np.ones(len(aligned)))


class Run:
    """A platform that runs on a site file which the test edits."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.path = folder / "site.yaml"
        self.events = folder / "events.jsonl"
        self.platform = platform

    @property
    def watched(self) -> dict:
        return self.platform.watcher.status()

    def sampled(self, camera: CameraId) -> int:
        status = self.platform.cameras().get(camera)
        return status.frames_sampled if status else 0

    async def edit(self, text: str) -> None:
        """Save the file as editors do: write another one, and rename it."""
        before = self.watched["taken_over"]
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)
        await until(lambda: self.watched["taken_over"] == before + 1)

    async def more(self, camera: CameraId, count: int = 5) -> None:
        """Wait for frames of a camera."""
        wanted = self.sampled(camera) + count
        await until(lambda: self.sampled(camera) >= wanted)

    def detections(self) -> list[DetectionEvent]:
        events = map(decode, self.events.read_bytes().splitlines())
        return [event for event in events if isinstance(event, DetectionEvent)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  threads and files change, and signal nothing
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30, fps=10)


@asynccontextmanager
async def running(folder: Path, clip: Path) -> AsyncIterator[Run]:
    shutil.copy(clip, folder / "clip.mp4")
    path = folder / "site.yaml"
    path.write_text(SITE)
    site, settings = load_site(path, os.environ), Settings(data_dir=folder / "data")
    profile = choose_profile(settings, site)
    detector = profile.detector_for(site.cameras[0].role, site.cameras[0].labels)
    lanes = (InferenceThread({detector.name: Nobody()}, Nobody()),)
    opening = embedded(
        site,
        settings,
        Networks(profile, (detector,), lanes),
        Playback({camera.camera_id: datetime.now(UTC) for camera in site.cameras}),
        environ=os.environ,
        events_path=folder / "events.jsonl",
        site_file=path,
    )
    stop = asyncio.Event()
    async with opening as platform, asyncio.TaskGroup() as group:
        group.create_task(host(platform.services, stop=stop, drain_deadline_s=60))
        try:
            run = Run(folder, platform)
            await run.more(DOOR)
            yield run
        finally:
            stop.set()


async def test_cameras_come_and_go_and_the_others_lose_no_frame(tmp_path: Path, clip: Path) -> None:
    async with running(tmp_path, clip) as run:
        await run.edit(SITE + NEW_TILL)
        await run.more(TILL)
        await run.edit(SITE.replace("a: [0.1, 0.5]", "a: [0.2, 0.6]") + NEW_TILL)
        await run.more(DOOR)
        slower = SITE.replace(
            "id: yard\n    role: tracking", "id: yard\n    role: tracking\n    fps: 2"
        )
        await run.edit(slower + NEW_TILL)
        await run.more(YARD)
        before, _, _ = SITE.partition("  - id: yard")
        await run.edit(before)
        assert set(run.platform.cameras()) == {DOOR}
        await run.more(DOOR)
        door = run.platform.cameras()[DOOR]
        assert not door.dropped
    seen = run.detections()
    of_door = [event for event in seen if event.camera_id == DOOR]
    assert {after.frame_seq - before.frame_seq for before, after in pairwise(of_door)} == {1}
    assert len({event.session for event in of_door}) == 1
    assert len(of_door) == run.sampled(DOOR)
    counts = Counter(event.camera_id for event in seen)
    assert counts[YARD] >= 10
    assert counts[TILL] >= 5


async def test_an_invalid_file_stops_nothing_and_the_next_valid_one_is_taken_over(
    tmp_path: Path, clip: Path
) -> None:
    async with running(tmp_path, clip) as run:
        run.path.write_text(SITE.replace("role: tracking", "role: entrnce", 1))
        await until(lambda: run.watched["problems"] != [])
        [problem] = run.watched["problems"]
        assert f"{run.path}:5:11: cameras[0].role" in problem
        await run.more(DOOR)
        run.path.unlink()
        await until(lambda: "cannot be read" in str(run.watched["problems"]))
        await run.more(YARD)
        await run.edit(SITE + NEW_TILL)
        assert run.watched["problems"] == []
        await run.more(TILL)
        marks = await run.platform.store.marks(EVER)
    assert [mark.name for mark in marks] == []


async def test_a_moved_line_is_marked_in_the_figures_and_policies_wait_for_a_restart(
    tmp_path: Path, clip: Path
) -> None:
    async with running(tmp_path, clip) as run:
        moved = SITE.replace("a: [0.1, 0.5]", "a: [0.2, 0.6]")
        await run.edit(moved + "policies:\n  stays: {bridge_s: 5.0}\n")
        marks = await run.platform.store.marks(EVER)
        assert [(mark.what, mark.name) for mark in marks] == [("geometry", "door/main")]
        assert run.watched["waits_for_restart"] == ["policies"]
        assert run.platform.watcher.site.policies.stays.bridge_s == 3.0
        assert run.platform.watcher.site.cameras[0].lines[0].a == (0.2, 0.6)
