"""Runs a labeled recording through the platform, built as in production.

Ingestor and worker run on the recording at a fixed frame rate. Their detections are kept in the
cache folder, because they take nearly all of the time and do not change with the tracker.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from hashlib import sha256
from pathlib import Path

import msgspec

import trinetra
from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.video.sources import open_source
from trinetra.errors import FrameRejected
from trinetra.evaluation.footage import LabeledView
from trinetra.hosting import host
from trinetra.models.manifest import Profile
from trinetra.models.progress import ProgressSink
from trinetra.replay.player import Detected, Listener
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.streaming.event_recorder import EventRecorder
from trinetra.values import CameraId, Instant, Role, microseconds
from trinetra.wiring import assembly
from trinetra.wiring import config as plans
from trinetra.wiring.assembly import Playback
from trinetra.wiring.connections import open_buffer
from trinetra.wiring.networks import Networks, load_networks
from trinetra.wiring.profiles import choose_profile, ensure_models
from trinetra.wiring.replay import ReplayInputs, replay

CAMERA = CameraId("view")
BY_ROLE = 0.0
"""In place of a frame rate: the rates of the role, between which the ingestor follows motion."""
STARTED_AT = Instant(2026, 1, 1, tzinfo=UTC)
START_US = microseconds(STARTED_AT)
_DRAIN_S = 3600.0
_BLOCK = 1 << 20
_MADE_BY = ("adapters/inference", "adapters/video", "detections", "frames")
"""Code that the detections depend on, beside the networks themselves."""


@dataclass(frozen=True, slots=True)
class RateRun:
    """One recording at one frame rate: its site and the detections in it.

    ``frames_us`` are the times of all frames of the recording from its start, in order. ``fps`` is
    BY_ROLE where the rate followed motion.
    """

    view: LabeledView
    fps: float
    site: Site
    detections: Path
    frames_us: tuple[int, ...]

    def events(self) -> Iterator[Detected]:
        """Yield the detections, as on the wire."""
        with self.detections.open("rb") as lines:
            for line in lines:
                yield CAMERA, line.rstrip(b"\n")


class Footage:
    """Detects in recordings, with the networks that the settings name, and keeps the results."""

    def __init__(self, settings: Settings, progress: ProgressSink) -> None:
        """Fetch the networks. Raises ModelUnavailable or ConfigurationError."""
        self._settings = settings.model_copy(
            update={"frame_buffer": "memory", "event_log": "memory", "journal_max_mb": 0}
        )
        declared = choose_profile(settings).without_plates()
        self._files = ensure_models(declared, settings, progress)
        self._profile = declared.having(self._files)
        self._networks: Networks | None = None
        self._folder = settings.cache_dir / "footage"
        self._digest = _digest_of_code(self._profile, self._files, settings)

    def models(self, role: Role) -> dict[str, str]:
        """Return the version of the network behind each task, for people on cameras of a role."""
        detector = self._profile.detector_for(role, {"person"})
        others = {m.task: m.version for m in self._profile.models if m.task != detector.task}
        return {detector.task: detector.version, **others}

    def run(
        self, view: LabeledView, fps: float, role: Role, fields: Mapping[str, object] | None = None
    ) -> RateRun:
        """Return a recording's detections at a frame rate; from the cache, if they are there.

        ``fields`` are more of the camera's fields in the site file. Raises SourceUnavailable.
        """
        site = site_of(view, fps, role, fields)
        source = _digest_of_source(view.source)
        self._folder.mkdir(parents=True, exist_ok=True)
        frames_us = self._frames_us(site, source)
        told = (self._digest, source, view.fps, _plans_of(site, self._profile))
        name = sha256(repr(told).encode()).hexdigest()[:32]
        path = self._folder / f"{name}.jsonl"
        if not path.is_file():
            part = path.with_suffix(f".{os.getpid()}.part")
            asyncio.run(self._detect(site, part))
            part.rename(path)
        return RateRun(view, fps, site, path, frames_us)

    def inputs(self, run: RateRun) -> ReplayInputs:
        """Return the inputs of a replay of a run, with an empty gallery."""
        return ReplayInputs(run.site, self._profile.face_embedder)

    async def _detect(self, site: Site, path: Path) -> None:
        if self._networks is None:
            self._networks = load_networks(self._profile, self._files, self._settings)
        clock = SystemClock()
        log = MemoryEventLog(clock)
        playback = Playback({CAMERA: STARTED_AT}, in_step=True)
        async with open_buffer(site, self._settings, clock) as buffer:
            ingestor = assembly.ingestor(site, buffer, clock, playback, {})
            worker = assembly.worker(site, self._settings, self._networks, buffer, log, clock)
            with EventRecorder(log, path) as recorder:
                services = (ingestor, worker, recorder)
                await host(services, stop=asyncio.Event(), drain_deadline_s=_DRAIN_S)

    def _frames_us(self, site: Site, source: str) -> tuple[int, ...]:
        path = self._folder / f"{source[:32]}.frames.json"
        if not path.is_file():
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(list(_frame_times_us(site))), encoding="utf-8")
            part.rename(path)
        return tuple(json.loads(path.read_text(encoding="utf-8")))


def resolve(inputs: ReplayInputs, run: RateRun, listener: Listener) -> None:
    """Run the detections of a recording through resolver and insight engine."""
    asyncio.run(replay(inputs, run.events(), listener))


def site_of(
    view: LabeledView, fps: float, role: Role, fields: Mapping[str, object] | None = None
) -> Site:
    """Return a shop of the one camera that took a recording, at a fixed frame rate or BY_ROLE."""
    path = view.source.resolve()
    is_folder = path.is_dir()
    source = {"images": path, "fps": view.fps} if is_folder else {"file": path}
    rates = ("fps", "fps_floor", "fps_ceiling") if fps else ()
    counts = view.counts
    camera = {
        "id": CAMERA,
        "role": role,
        "source": source,
        **dict.fromkeys(rates, float(fps)),
        "lines": [{"id": line.id, "a": line.a, "b": line.b} for line in counts.lines]
        if counts
        else [],
        "zones": [{"id": zone.id, "polygon": zone.polygon} for zone in counts.zones]
        if counts
        else [],
        **(fields or {}),
    }
    return Site.model_validate({"site": "footage", "timezone": "UTC", "cameras": [camera]})


def _plans_of(site: Site, profile: Profile) -> str:
    """Return how the site's camera is read and what is detected, in a stable form."""
    camera = site.cameras[0]
    ingest = plans.ingest_plan(camera, in_step=True)
    detection = plans.detection_plans(site, profile)[camera.camera_id]
    return json.dumps([asdict(ingest), asdict(detection)], default=sorted)


def _frame_times_us(site: Site) -> Iterator[int]:
    spec = plans.source_spec(site.cameras[0], {}, STARTED_AT)
    source = open_source(spec, SystemClock())
    source.open()
    try:
        while True:
            try:
                frame = source.read(key_frames_only=False)
            except FrameRejected:
                continue
            if frame is None:
                return
            yield microseconds(frame.captured_at) - START_US
    finally:
        source.close()


def _digest_of_source(source: Path) -> str:
    digest = sha256()
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _digest_of_code(profile: Profile, files: Mapping[str, Path], settings: Settings) -> str:
    """Return a digest of all that detections depend on, beside the recording and its camera."""
    digest = sha256(f"{settings.profile} {settings.backend}".encode())
    digest.update(_specs(profile))
    for path in (files[name] for name in sorted(files)):
        digest.update(path.read_bytes())
    package = Path(trinetra.__file__).parent
    sources = [package / "wiring" / "networks.py"]
    for folder in _MADE_BY:
        sources += sorted((package / folder).rglob("*.py"))
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _specs(profile: Profile) -> bytes:
    """Return how the networks are fed and read; calibration concerns only what follows."""
    specs = [msgspec.to_builtins(model) for model in profile.models]
    kept = [{k: v for k, v in spec.items() if k != "calibration"} for spec in specs]
    return msgspec.json.encode(kept, order="sorted")
