"""Load of the stream-ingestor with many 720p cameras, and the lateness of their samples.

The ingestor is built by wiring as in production. Every camera plays the same H.264 recording, made
on the spot, in a loop at its own speed, with a decoder of its own; only the network is missing.
"""

import asyncio
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.frame_buffer import MemoryFrameBuffer, MemoryFrameStreams
from trinetra.ports import FrameBuffer
from trinetra.site import Camera, FileSource, Site
from trinetra.values import Frame, Role
from trinetra.wiring import assembly
from trinetra.wiring.assembly import Playback

WIDTH, HEIGHT, FPS, KEY_EVERY = 1280, 720, 15, 30
LATE_S = 0.2
"""A sample that is later than the next one is due is of no use to a tracker."""


_WARM_UP_S = 8.0
"""Until the sources are open, and a camera that may be decoded by key frames only is."""


class _Meter:
    """A frame buffer that records the lateness of each frame and stores none."""

    def __init__(self, buffer: FrameBuffer, clock: SystemClock) -> None:
        self._buffer = buffer
        self._clock = clock
        self.late_s: list[float] = []

    async def append(self, frame: Frame) -> int:
        self.late_s.append((self._clock.now() - frame.captured_at).total_seconds())
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buffer, name)


@dataclass(frozen=True, slots=True)
class Load:
    """What the cameras show and how they are read.

    ``still`` shows an empty shop. ``key_frames_while_idle`` is the cameras' key of that name.
    ``keeps_native`` sends full-size JPEGs along, as for faces.
    """

    still: bool = False
    key_frames_while_idle: bool = False
    keeps_native: bool = False


def run(cameras: int, seconds: float, load: Load) -> dict[str, Any]:
    """Return load and lateness with so many cameras over ``seconds``."""
    with tempfile.TemporaryDirectory() as folder:
        clip = _write_clip(Path(folder) / "camera.mp4", still=load.still)
        return asyncio.run(_measure(clip, cameras, seconds, load))


async def _measure(clip: Path, cameras: int, seconds: float, load: Load) -> dict[str, Any]:
    clock = SystemClock()
    meter = _Meter(MemoryFrameBuffer(MemoryFrameStreams(clock), "bench", "bench"), clock)
    # Cameras are not synchronized: each starts a little after the previous one.
    start = clock.now() + timedelta(seconds=1.0)
    site = _site(clip, cameras, load)
    started_at = {
        camera.camera_id: start + timedelta(seconds=n / cameras / FPS)
        for n, camera in enumerate(site.cameras)
    }
    ingestor = assembly.ingestor(site, meter, clock, Playback(started_at), {})

    def frames_read() -> int:
        return sum(status.frames_read for status in ingestor.status().values())

    stopping = asyncio.Event()
    running = asyncio.create_task(ingestor.run(stopping))
    await asyncio.sleep(_WARM_UP_S)
    meter.late_s.clear()
    read = frames_read()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    late_s, read = list(meter.late_s), frames_read() - read
    stopping.set()
    await running
    decoded_fps = read / wall_s / cameras
    return {"decoded_fps_per_camera": round(decoded_fps, 2)} | _report(
        cameras, wall_s, cpu_s, late_s, load
    )


def _site(clip: Path, cameras: int, load: Load) -> Site:
    """Return a site whose cameras play the clip."""
    source = FileSource(file=clip, loop=True)
    one = Camera(
        id="camera",
        role=Role.TRACKING,
        source=source,
        fps_ceiling=5.0,
        reads_faces=load.keeps_native,
        key_frames_while_idle=load.key_frames_while_idle,
    )
    each = tuple(one.model_copy(update={"id": f"camera-{n}"}) for n in range(cameras))
    return Site(site="bench", timezone="UTC", cameras=each)


def _report(
    cameras: int, wall_s: float, cpu_s: float, late_s: list[float], load: Load
) -> dict[str, Any]:
    late = np.array(late_s or [float("nan")])
    return {
        "cameras": cameras,
        "video": f"{WIDTH}x{HEIGHT} {FPS} fps H.264",
        "scene": "still" if load.still else "busy",
        "key_frames_while_idle": load.key_frames_while_idle,
        "native_jpeg": load.keeps_native,
        "seconds": round(wall_s, 1),
        "sampled_fps_per_camera": round(len(late_s) / wall_s / cameras, 2),
        "late_ms_p50": round(float(np.median(late)) * 1e3, 1),
        "late_ms_p99": round(float(np.percentile(late, 99)) * 1e3, 1),
        "late_share": round(float(np.mean(late > LATE_S)), 4),
        "cpu_cores": round(cpu_s / wall_s, 3),
        "cpu_percent_per_camera": round(100 * cpu_s / wall_s / cameras, 2),
        "rss_mb_peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _write_clip(path: Path, *, still: bool, seconds: int = 20) -> Path:
    """Write a shop-like picture with sensor noise, and unless ``still`` some people in it."""
    random = np.random.default_rng(7)
    coarse = random.integers(40, 200, (HEIGHT // 40, WIDTH // 40, 3), dtype=np.uint8)
    shop = np.kron(coarse, np.ones((40, 40, 1), np.uint8))
    noise = random.integers(0, 6, (8, HEIGHT, WIDTH, 1), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        x264 = f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:bframes=0"
        options = {"preset": "superfast", "b": "2000000", "x264-params": x264}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(seconds * FPS):
            image = shop + noise[number % len(noise)]
            if not still:
                _draw_people(image, number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def _draw_people(image: np.ndarray, number: int) -> None:
    for person in range(4):
        x = (number * (3 + person) + person * 300) % (WIDTH - 120)
        top = 150 + 60 * person
        image[top : top + 320, x : x + 110] = (60 * person, 90, 220 - 50 * person)
