"""A camera is recorded for a count by hand: heads unrecognizable, bounded, and erased soon."""

import asyncio
import errno
import itertools
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
import simplejpeg
from tests.web.live_shop import (
    PERSON,
    SITE,
    LiveStage,
    decoded,
    noise,
    open_live_shop,
    until,
)

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.adapters.redis.frame_buffer import FrameStreams, RedisFrameBuffer
from trinetra.adapters.redis.latest_frames import RedisLatestFrames
from trinetra.client import AsyncClient
from trinetra.client.models import AuditRecording, NewRecording
from trinetra.client.problems import ApiProblem
from trinetra.events import topics
from trinetra.events.schema import LifecycleEvent
from trinetra.values import CameraId, CustomerId, EventId, Frame, Letterbox, SiteId
from trinetra.web.access import Role
from trinetra.web.live.pictures import LiveCamera, PictureHub
from trinetra.web.live.view import LiveView, SeenFrame
from trinetra.wiring.audit_recordings import KEPT, AuditRecordings

RECORDINGS = "/v1/audits/recordings"
HEAD, FEET = (slice(50, 112), slice(104, 196)), (slice(250, 340), slice(110, 190))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[LiveStage]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    async with open_live_shop(tmp_path, site_file=path) as stage:
        yield stage


@pytest.fixture
async def client(shop: LiveStage) -> AsyncIterator[AsyncClient]:
    shop.signed_in.role = Role.OPERATOR
    transport = httpx.ASGITransport(app=shop.app)
    async with AsyncClient("http://shop", transport=transport) as client:
        yield client


def files(shop: LiveStage) -> list[Path]:
    return [path for path in (shop.settings.data_dir / "tmp").rglob("*") if path.is_file()]


async def recorded(shop: LiveStage, client: AsyncClient, pictures: int = 3) -> str:
    """Record some pictures of the door, and return the id of the recording."""
    started = await client.start_recording("door")
    await shop.film(started.id, pictures)
    return started.id


async def test_pictures_are_recorded_with_their_times_and_unrecognizable_heads(
    shop: LiveStage, client: AsyncClient
) -> None:
    started = await client.start_recording("door", 2)
    assert (started.is_recording, started.by, started.camera) == (True, "Asha", "door")
    assert (started.ends_at - started.started_at).total_seconds() == 120
    assert started.erased_at - started.started_at == KEPT
    frames = await shop.film(started.id, 2)
    ended = await client.end_recording(started.id)
    assert (ended.is_recording, ended.pictures, ended.problem) == (False, 2, None)
    index = await client.recording(started.id)
    assert index.times == tuple(frame.captured_at for frame in frames)
    assert (ended.first_at, ended.last_at) == index.times
    picture = decoded(await client.recorded_picture(started.id, 1))
    clear = decoded(frames[1].jpeg)[140:500]
    assert np.abs(picture - clear)[FEET].mean() < 15
    assert np.abs(picture - clear)[HEAD].mean() > 40
    [file] = files(shop)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ended.bytes == file.stat().st_size


async def test_a_recording_is_entered_in_the_trail_before_it_begins(
    shop: LiveStage, client: AsyncClient
) -> None:
    await client.start_recording("door")
    [line] = AuditLog(shop.settings.data_dir / "audit").lines()
    assert (line.action, line.by) == ("record_for_audit", "Asha")
    assert "camera door, at most 10 min" in line.detail


async def test_what_cannot_be_entered_in_the_trail_is_not_recorded(
    shop: LiveStage, client: AsyncClient
) -> None:
    (shop.settings.data_dir / "audit").write_text("in the way")
    with pytest.raises(ApiProblem):
        await client.start_recording("door")
    assert (await client.recordings()).items == ()
    assert files(shop) == []


async def test_a_picture_has_an_etag_and_no_browser_keeps_it(
    shop: LiveStage, client: AsyncClient
) -> None:
    address = f"{RECORDINGS}/{await recorded(shop, client, 1)}/frames/0"
    async with shop.client(Role.OPERATOR) as http:
        first = await http.get(address)
        again = await http.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["cache-control"] == "no-store"
    assert datetime.fromisoformat(first.headers["x-captured-at"]).tzinfo
    assert (again.status_code, again.content) == (304, b"")


async def test_boxes_that_come_late_and_together_cost_no_picture(
    shop: LiveStage, client: AsyncClient
) -> None:
    started = await client.start_recording("door")
    begin = SystemClock().now()
    frames = []
    for second in range(5):
        frames.append(await shop.frame(at=begin + timedelta(seconds=second)))
        await shop.look(frames[-1])
    for frame in frames:
        if frame is not frames[2]:  # nothing ever looked at this one
            await shop.detect(frame, people=[PERSON])
    await until(lambda: len(shop.live.recordings.index(started.id).times) == 3)
    index = await client.recording(started.id)
    assert index.times == tuple(frames[n].captured_at for n in (0, 1, 3))


async def test_a_person_missed_in_a_frame_is_hidden_by_the_frame_after_it(
    shop: LiveStage, client: AsyncClient
) -> None:
    started = await client.start_recording("door")
    begin, image = SystemClock().now(), noise(99)
    for after_s, people in ((0.0, []), (0.5, [PERSON]), (2.0, [])):
        frame = await shop.frame(image=image, at=begin + timedelta(seconds=after_s))
        await shop.look(frame)
        await shop.detect(frame, people=people)
    await until(lambda: len(shop.live.recordings.index(started.id).times) == 2)
    picture = decoded(await client.recorded_picture(started.id, 0))
    clear = image[140:500].astype(np.int16)
    assert np.abs(picture - clear)[FEET].mean() < 15
    assert np.abs(picture - clear)[HEAD].mean() > 40


async def test_a_recording_that_is_deleted_is_gone_from_the_disk(
    shop: LiveStage, client: AsyncClient
) -> None:
    name = await recorded(shop, client)
    assert [one.id for one in (await client.recordings()).items] == [name]
    await client.delete_recording(name)
    assert files(shop) == []
    assert (await client.recordings()).items == ()
    for asked in (
        client.recording(name),
        client.recorded_picture(name, 0),
        client.end_recording(name),
        client.delete_recording(name),
    ):
        with pytest.raises(ApiProblem) as refused:
            await asked
        assert refused.value.status == 404


async def test_an_erasure_deletes_all_recordings_also_one_that_goes_on(
    shop: LiveStage, client: AsyncClient
) -> None:
    await recorded(shop, client)
    await client.start_recording("till")
    event = LifecycleEvent(
        event_id=EventId("e1"),
        site_id=SiteId("shop"),
        camera_id=CameraId(""),
        captured_at=SystemClock().now(),
        change="erased",
        customer_id=CustomerId("a digest"),
    )
    await shop.send(event, topics.CUSTOMERS)
    await until(lambda: not shop.live.recordings.recordings())
    assert (await client.recordings()).items == ()
    assert files(shop) == []


async def test_a_saved_count_erases_its_recording(shop: LiveStage, client: AsyncClient) -> None:
    name = await recorded(shop, client)
    times = (await client.recording(name)).times
    body = {
        "camera": "till",
        "line": "none",
        "start": times[0].isoformat(),
        "end": times[-1].isoformat(),
        "recording": name,
    }
    async with shop.client(Role.OPERATOR) as http:
        assert (await http.post("/v1/audits", json=body)).status_code == 404
        assert len(files(shop)) == 1  # a count that was refused can be sent again
        saved = await http.post("/v1/audits", json=body | {"camera": "door", "line": "sill"})
    assert saved.status_code == 201
    assert files(shop) == []


async def test_a_recording_ends_with_its_camera(shop: LiveStage, client: AsyncClient) -> None:
    name = await recorded(shop, client, 1)
    begin, end = SITE.index("  - id: door"), SITE.index("  - id: till")
    await asyncio.to_thread(shop.watcher.file.path.write_text, SITE[:begin] + SITE[end:])
    await shop.watcher.look()
    ended = await client.end_recording(name)
    assert "has this camera no more" in ended.problem
    assert await client.recorded_picture(name, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"camera": "nowhere"}, 404),
        ({"camera": "../door"}, 422),
        ({"camera": "door", "minutes": 11}, 422),
        ({"camera": "door", "minutes": 0}, 422),
        ({"camera": "door", "minutes": "NaN"}, 422),
        ({}, 422),
    ],
)
async def test_what_cannot_be_recorded_is_refused(
    shop: LiveStage, body: dict[str, Any], status: int
) -> None:
    async with shop.client(Role.OPERATOR) as http:
        assert (await http.post(RECORDINGS, json=body)).status_code == status
        assert (await http.get(RECORDINGS)).json()["items"] == []


@pytest.mark.parametrize("number", ["-1", "3", "999999999999", "one"])
async def test_pictures_that_do_not_exist_are_not_found(
    shop: LiveStage, client: AsyncClient, number: str
) -> None:
    name = await recorded(shop, client)
    async with shop.client(Role.OPERATOR) as http:
        reply = await http.get(f"{RECORDINGS}/{name}/frames/{number}")
    assert reply.status_code in {404, 422}


async def test_a_camera_is_recorded_once_and_four_recordings_are_kept_at_most(
    client: AsyncClient,
) -> None:
    first = await client.start_recording("door")
    with pytest.raises(ApiProblem, match="being recorded already"):
        await client.start_recording("door")
    await client.end_recording(first.id)
    second = await client.start_recording("door")
    await client.end_recording(second.id)
    for camera in ("till", "parking"):
        await client.start_recording(camera)
    with pytest.raises(ApiProblem, match="4 recordings are kept"):
        await client.start_recording("door")
    await client.delete_recording(first.id)
    assert (await client.start_recording("door")).is_recording


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRIVACY_OFFICER])
async def test_who_may_not_count_sees_no_recording(
    shop: LiveStage, client: AsyncClient, role: Role
) -> None:
    name = await recorded(shop, client, 1)
    async with shop.client(role) as http:
        for address in (RECORDINGS, f"{RECORDINGS}/{name}", f"{RECORDINGS}/{name}/frames/0"):
            assert (await http.get(address)).status_code == 403
        assert (await http.post(RECORDINGS, json={"camera": "till"})).status_code == 403
        assert (await http.delete(f"{RECORDINGS}/{name}")).status_code == 403


async def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "tmp" / "tmpleft"
    left.mkdir(parents=True)
    (left / "recording").write_bytes(b"pictures")
    async with open_live_shop(tmp_path) as shop:
        assert not left.exists()
        async with shop.client(Role.OPERATOR) as http:
            await http.post(RECORDINGS, json={"camera": "door"})
        assert len(files(shop)) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


class Timed:
    """Recordings by a clock that the test moves."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.clock = ManualClock(SystemClock().now())
        door = {CameraId("door"): LiveCamera()}
        self.view = LiveView(door)
        self.frames = MemoryFrameBuffer(MemoryFrameStreams(self.clock, 8), "workers", "w1")
        self.hub = PictureHub(self.frames, self.view, door, self.clock)
        self.recordings = AuditRecordings(lambda: self.hub, folder, self.clock, **limits)

    async def see(self, seq: int) -> None:
        """Let the camera see an empty room."""
        at = self.clock.now()
        size = {"width": 640, "height": 640, "letterbox": Letterbox.fit(640, 640, 640)}
        jpeg = simplejpeg.encode_jpeg(noise(seq), 90, "BGR")
        await self.frames.append(Frame(CameraId("door"), seq, at, jpeg=jpeg, **size))
        seen = SeenFrame(CameraId("door"), at, seq, 640, 640)
        self.view.see(seen, self.clock.monotonic(), at)

    async def close(self) -> None:
        await self.recordings.close()
        await self.hub.close()


async def ended(made: Timed) -> AuditRecording:
    """Return a recording that ends while the camera sees something."""
    for seq in itertools.count(1):
        [recording] = made.recordings.recordings()
        if not recording.is_recording:
            return recording
        await made.see(seq)
        made.clock.advance(0.7)
        await asyncio.to_thread(lambda: None)
    raise AssertionError


async def test_a_recording_of_its_largest_size_ends_and_says_so(tmp_path: Path) -> None:
    made = Timed(tmp_path, max_bytes=300_000)
    await made.recordings.start(NewRecording(camera="door"), "Asha")
    recording = await ended(made)
    assert "largest size" in recording.problem
    assert 100_000 < recording.bytes <= 300_000
    assert recording.pictures > 0
    await made.close()


async def test_a_full_disk_ends_a_recording_and_what_it_has_is_kept(
    timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await timed.recordings.start(NewRecording(camera="door"), "Asha")
    whole, calls = os.pwrite, itertools.count()

    def full(*given: Any) -> int:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return whole(*given)

    monkeypatch.setattr(os, "pwrite", full)
    recording = await ended(timed)
    assert "no space left for the recorded pictures" in recording.problem
    assert recording.pictures == 2
    jpeg, taken_at = await timed.recordings.picture(recording.id, 1)
    assert decoded(jpeg).shape == (640, 640, 3)
    assert taken_at == recording.last_at


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[Timed]:
    made = Timed(tmp_path)
    yield made
    await made.close()


async def test_a_recording_ends_in_time_and_is_erased_after_a_day(timed: Timed) -> None:
    desk = timed.recordings
    started = await desk.start(NewRecording(camera="door", minutes=3), "Asha")
    while desk.recordings()[0].is_recording:
        await asyncio.sleep(0)
        timed.clock.advance(1)
    assert 180 <= (timed.clock.now() - started.started_at).total_seconds() < 200
    while desk.recordings():
        await asyncio.sleep(0)
        timed.clock.advance(60)
    assert timed.clock.now() - started.started_at >= KEPT


async def test_without_cameras_nothing_is_recorded(tmp_path: Path) -> None:
    desk = AuditRecordings(lambda: None, tmp_path, SystemClock())
    with pytest.raises(Exception, match="no pictures of the cameras"):
        await desk.start(NewRecording(camera="door"), "Asha")
    await desk.close()
    assert not (tmp_path / "tmp").exists()


async def test_frames_that_another_process_buffers_on_redis_are_recorded(
    redis_url: str, tmp_path: Path
) -> None:
    clock, door, namespace = SystemClock(), CameraId("door"), uuid4().hex
    streams = FrameStreams(SiteId("shop"), [door], namespace, 4)
    opening = RedisFrameBuffer.open(redis_url, streams, group="w", consumer="w1", clock=clock)
    view = LiveView([door])
    async with opening as buffer, RedisLatestFrames.open(redis_url, namespace) as frames:
        hub = PictureHub(frames, view, {door: LiveCamera()}, clock)
        desk = AuditRecordings(lambda: hub, tmp_path, clock)
        recording = await desk.start(NewRecording(camera="door"), "Asha")
        begin, size = clock.now(), {"width": 640, "height": 640}
        jpeg = simplejpeg.encode_jpeg(noise(), 90, "BGR")
        for seq in range(4):
            at = begin + timedelta(seconds=seq)
            box = Letterbox.fit(640, 640, 640)
            frame = Frame(door, seq, at, letterbox=box, jpeg=jpeg, **size)
            await buffer.append(frame)
            await buffer.ack(await buffer.read(max_frames=1, wait_s=5.0))
            # What the recording took last: a frame that waits for boxes may be dropped meanwhile.
            await until(lambda key=(0, seq): key in {film.last for film in hub.feed("door")._films})
            view.see(SeenFrame(door, at, seq, 640, 640), clock.monotonic(), at)
        await until(lambda: len(desk.index(recording.id).times) == 3)
        assert desk.index(recording.id).times[-1] == begin + timedelta(seconds=2)
        await desk.close()
        await hub.close()
