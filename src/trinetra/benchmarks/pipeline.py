"""Throughput of the whole platform relative to that of the bare networks.

End to end: decode, scale, JPEG, buffer, JPEG, networks, events, tracking, gallery, insights. Model
only: the same input tensors, run again in the same number of lanes, without the rest of the
platform. Both take turns within one run, so that their ratio holds when the machine drifts.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from trinetra.errors import SourceUnavailable
from trinetra.hosting import host
from trinetra.models.progress import ProgressSink
from trinetra.ports import Engine
from trinetra.settings import Settings
from trinetra.site import Camera, FileSource, Site
from trinetra.values import Role
from trinetra.wiring.assembly import Playback
from trinetra.wiring.networks import Networks, load_networks
from trinetra.wiring.platform import Platform, embedded
from trinetra.wiring.profiles import choose_profile, ensure_models

_TAPED_FRAMES = 24
_ROUNDS = 3
_WARM_FRAMES = 60


@dataclass(slots=True)
class Tape:
    """The input tensors of one lane's networks over some frames, in order."""

    calls: list[tuple[Engine, NDArray[np.float32]]] = field(default_factory=list)
    frames: int = 0
    recording: bool = False

    def add(self, engine: Engine, batch: NDArray[np.float32], *, is_detector: bool) -> None:
        """Keep a call; the detector's begin the next frames, and enough frames end the tape."""
        if is_detector and self.frames >= _TAPED_FRAMES:
            self.recording = False
        if self.recording and (is_detector or self.frames):
            self.frames += len(batch) if is_detector else 0
            self.calls.append((engine, batch.copy()))

    def play(self) -> None:
        """Run every call again."""
        for engine, batch in self.calls:
            engine.run(batch)


@dataclass(frozen=True, slots=True)
class TapedEngine:
    """Engine that records its calls on a tape."""

    engine: Engine
    tape: Tape
    is_detector: bool

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs, as the engine does."""
        if self.tape.recording:
            self.tape.add(self.engine, batch, is_detector=self.is_detector)
        return self.engine.run(batch)


def run(
    video: Path, seconds: float, settings: Settings, progress: ProgressSink
) -> dict[str, object]:
    """Return end-to-end and model-only frames per second on a looped video, and their ratio.

    Raises SourceUnavailable when the video gives no frames.
    """
    tapes: list[Tape] = []

    def listen(task: str, engine: Engine) -> Engine:
        if task == "detect":  # the first network of a lane, as the site has one camera
            tapes.append(Tape())
        return TapedEngine(engine, tapes[-1], is_detector=task == "detect")

    profile = choose_profile(settings)
    files = ensure_models(profile, settings, progress)
    networks = load_networks(profile, files, settings, _site(video), wrap=listen)
    with tempfile.TemporaryDirectory(prefix="trinetra-bench-") as folder:
        fresh = settings.model_copy(update={"data_dir": Path(folder)})
        rounds = asyncio.run(_measure(video, seconds / (2 * _ROUNDS), fresh, networks, tapes))
    ratios = [end_to_end / model_only for end_to_end, model_only in rounds]
    return {
        "video": video.name,
        "models": [*networks.detector_versions.values(), *networks.versions.values()],
        "backend": settings.backend,
        "lanes": len(networks.lanes),
        "end_to_end_fps": round(median(r[0] for r in rounds), 1),
        "model_only_fps": round(median(r[1] for r in rounds), 1),
        "ratio": round(median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "rounds": len(rounds),
        "seconds_per_round": round(seconds / (2 * _ROUNDS), 1),
    }


async def _measure(
    video: Path, round_s: float, settings: Settings, networks: Networks, tapes: Sequence[Tape]
) -> list[tuple[float, float]]:
    """Return end-to-end and model-only frames per second of each round."""
    rounds = []
    for _ in range(_ROUNDS):
        end_to_end = await _end_to_end(video, round_s, settings, networks, tapes)
        rounds.append((end_to_end, await _model_only(round_s, tapes)))
    return rounds


async def _end_to_end(
    video: Path, round_s: float, settings: Settings, networks: Networks, tapes: Sequence[Tape]
) -> float:
    site = _site(video)
    playback = Playback({site.cameras[0].camera_id: datetime.now(UTC)}, in_step=True)
    async with embedded(site, settings, networks, playback, environ=os.environ) as platform:
        stop = asyncio.Event()
        running = asyncio.create_task(
            host(platform.services, stop=stop, drain_deadline_s=settings.drain_deadline_s)
        )
        await _until(lambda: _inferred(platform) >= _WARM_FRAMES, running)
        for tape in tapes:
            tape.recording = not tape.frames
        await _until(lambda: not any(tape.recording for tape in tapes), running)
        begun, before = time.perf_counter(), _inferred(platform)
        await asyncio.sleep(round_s)
        rate = (_inferred(platform) - before) / (time.perf_counter() - begun)
        stop.set()
        await running
    return rate


async def _until(reached: Callable[[], bool], running: asyncio.Task[None]) -> None:
    while not reached():
        if running.done():
            await running
            raise SourceUnavailable("the video gave too few frames to measure anything")
        await asyncio.sleep(0.05)


def _inferred(platform: Platform) -> int:
    return sum(camera.frames_inferred for camera in platform.recorder.tally.cameras.values())


async def _model_only(round_s: float, tapes: Sequence[Tape]) -> float:
    return sum(await asyncio.gather(*(asyncio.to_thread(_play, round_s, tape) for tape in tapes)))


def _play(round_s: float, tape: Tape) -> float:
    """Play a tape again and again; return its frames per second."""
    begun, frames = time.perf_counter(), 0
    while time.perf_counter() - begun < round_s or not frames:
        tape.play()
        frames += tape.frames
    return frames / (time.perf_counter() - begun)


def _site(video: Path) -> Site:
    """Return a shop with one camera that looks at every frame and reads faces."""
    camera = Camera(
        id="bench",
        role=Role.FACE,
        source=FileSource(file=video, loop=True),
        fps=60.0,
        fps_floor=60.0,
        fps_ceiling=60.0,
    )
    return Site(site="bench", timezone="UTC", cameras=(camera,))
