"""People who walk into a view where nothing moved: no camera may miss them by default.

The cameras are read as the site file's defaults say, from recordings with the key frames of IP
cameras and from a live camera. A person is dark before a bright wall, and walks from left to right
in two seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from tests.servers.rtsp_camera import RtspCamera

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.frames.service import StreamIngestor
from trinetra.site import Camera, FileSource, Site, StreamSource
from trinetra.site.cameras import Line
from trinetra.values import Frame, Role, seconds_between
from trinetra.wiring import assembly
from trinetra.wiring.assembly import Playback

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
FPS, WALK_S = 10, 2.0
WIDTH, HEIGHT, BODY = 320, 192, 32


def film(path: Path, *, seconds: float, arrivals: Iterable[float], key_every_s: float) -> Path:
    """Write a view in which a person walks from left to right at every arrival."""
    wall = np.random.default_rng(7).integers(120, 220, (HEIGHT // 8, WIDTH // 8), np.uint8)
    wall = wall.repeat(8, 0).repeat(8, 1)
    key_every = round(key_every_s * FPS)
    x264 = f"keyint={key_every}:min-keyint={key_every}:scenecut=0:bframes=0"
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "x264-params": x264}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(seconds * FPS)):
            gray = wall.copy()
            for arrival in arrivals:
                done = (number / FPS - arrival) / WALK_S
                if 0 <= done < 1:
                    left = round(done * (WIDTH + BODY)) - BODY
                    gray[60:180, max(0, left) : max(0, left + BODY)] = 10
            frame = av.VideoFrame.from_ndarray(np.stack([gray] * 3, axis=2), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def side_of(frame: Frame) -> str | None:
    """Return the half of the picture in which the person is, or None if there is none."""
    gray = simplejpeg.decode_jpeg(frame.jpeg, "GRAY")[:, :, 0]
    middle = gray[gray.shape[0] // 2 : gray.shape[0] * 2 // 3]
    dark = np.flatnonzero((middle < 60).mean(axis=0) > 0.9)
    if not dark.size:
        return None
    return "left" if dark.mean() < gray.shape[1] / 2 else "right"


@asynccontextmanager
async def door(
    source: FileSource | StreamSource, *, in_step: bool
) -> AsyncIterator[tuple[StreamIngestor, MemoryFrameBuffer]]:
    """Run the ingestor of a camera that counts at a door; yield it and a consumer of its frames."""
    line = Line(id="door", a=(0.5, 1.0), b=(0.5, 0.0))
    camera = Camera(id="door", role=Role.ENTRANCE, source=source, lines=(line,))
    site = Site(site="shop", timezone="UTC", cameras=(camera,))
    clock = SystemClock()
    streams = MemoryFrameStreams(clock, 100)
    ingestor = assembly.ingestor(
        site,
        MemoryFrameBuffer(streams, "workers", "ingestor"),
        clock,
        Playback({camera.camera_id: START}, in_step=in_step),
        {},
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ingestor.run(stopping))
        try:
            yield ingestor, MemoryFrameBuffer(streams, "workers", "worker")
        finally:
            stopping.set()


async def take(consumer: MemoryFrameBuffer, until_s: float) -> list[Frame]:
    """Consume until a frame of at least ``until_s`` after the first one."""
    frames: list[Frame] = []
    while not frames or seconds_between(frames[0].captured_at, frames[-1].captured_at) < until_s:
        delivered = await consumer.read(max_frames=10, wait_s=3600.0)
        await consumer.ack(delivered)
        frames += [buffered.frame for buffered in delivered]
    return frames


@pytest.mark.parametrize("key_every_s", [1.0, 2.0, 3.0])
async def test_everyone_who_walks_through_a_quiet_view_is_seen_on_both_sides(
    tmp_path: Path, key_every_s: float
) -> None:
    arrivals = np.cumsum(np.random.default_rng(3).uniform(8.0, 10.0, 20)).tolist()
    clip = film(
        tmp_path / "door.mp4", seconds=arrivals[-1] + 4, arrivals=arrivals, key_every_s=key_every_s
    )
    async with door(FileSource(file=clip), in_step=True) as (_, consumer):
        frames = await take(consumer, arrivals[-1] + WALK_S)
    sides: dict[float, list[str]] = {arrival: [] for arrival in arrivals}
    for frame in frames:
        if side := side_of(frame):
            at_s = seconds_between(START, frame.captured_at)
            sides[max(arrival for arrival in arrivals if arrival <= at_s + 0.05)].append(side)
    missed = {at for at, seen in sides.items() if min(map(seen.count, ("left", "right"))) < 2}
    assert not missed


async def test_a_live_camera_is_decoded_in_full_also_where_nothing_moves(tmp_path: Path) -> None:
    clip = film(tmp_path / "door.mp4", seconds=9.0, arrivals=[6.0], key_every_s=2.0)
    with RtspCamera(clip) as camera:
        async with door(StreamSource(url=camera.url), in_step=False) as (ingestor, consumer):
            frames = await take(consumer, 9.0)
            (status,) = ingestor.status().values()
    span_s = seconds_between(frames[0].captured_at, frames[-1].captured_at)
    assert status.frames_read >= 0.95 * span_s * FPS
    sides = [side for frame in frames if (side := side_of(frame))]
    assert min(map(sides.count, ("left", "right"))) >= 2
