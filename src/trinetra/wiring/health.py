"""What the services tell of themselves: in this process, or on their health pages."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

import httpx
import msgspec

from trinetra import __version__
from trinetra.client.models import HealthReport, Latency, ModelInUse, StageHealth
from trinetra.frames.connection import CameraStatus
from trinetra.hosting import Service
from trinetra.models.manifest import Profile
from trinetra.ports import Clock, Sample
from trinetra.redaction import mask_urls
from trinetra.site import Site
from trinetra.telemetry import own_samples, quantile_bound, samples_of
from trinetra.values import CameraId, Instant
from trinetra.wiring.site_watch import SITE_FILE

FRAMES_WAITING = "trinetra_frames_waiting"
LAG = "trinetra_consumer_lag"
LATENCIES: Mapping[str, str] = {
    "detection": "trinetra_frame_age_seconds",
    "identity": "trinetra_identity_age_seconds",
    "gallery": "trinetra_gallery_seconds",
}
_SAMPLES = (FRAMES_WAITING, LAG, *(f"{name}_bucket" for name in LATENCIES.values()))
_INGESTOR = "stream-ingestor"
_ANSWER_S = 2.0
_PROBLEMS = ("waiting", "problem", "problems", "state")


class ToldCamera(msgspec.Struct, frozen=True):
    """What an ingestor tells of a camera: the fields of CameraStatus that operators need."""

    state: str
    since: Instant
    dropped: dict[str, int]
    last_frame_at: Instant | None
    width: int
    height: int
    sample_fps: float
    problem: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the services at one time."""

    stages: Sequence[StageHealth] = ()
    cameras: Mapping[str, ToldCamera] = field(default_factory=dict)
    samples: Sequence[Sample] = ()

    def waiting(self, camera_id: str) -> int | None:
        """Return how many frames of a camera are in the buffer; None if no one tells."""
        found = [s.value for s in self.samples if s.name == FRAMES_WAITING]
        own = [
            s.value
            for s in self.samples
            if s.name == FRAMES_WAITING and s.labels.get("camera") == camera_id
        ]
        return int(max(own)) if found and own else None


class Teller(Protocol):
    """Tells the present state of the services."""

    async def ask(self) -> Told:
        """Return what is known; what does not answer is a stage that is not known to be ready."""


class OwnServices:
    """The services of this process."""

    def __init__(
        self,
        services: Sequence[Service],
        cameras: Callable[[], Mapping[CameraId, CameraStatus]],
    ) -> None:
        self._services = services
        self._cameras = cameras

    async def ask(self) -> Told:
        """Return the state of the services."""
        return Told(
            [
                StageHealth(name=s.name, is_ready=s.ready(), detail=_detail(_plain(s.status())))
                for s in self._services
            ],
            {
                camera: msgspec.convert(_plain(status), ToldCamera)
                for camera, status in self._cameras().items()
            },
            own_samples(_SAMPLES),
        )


class HealthPages:
    """The services of a cluster, by the addresses of their health pages."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    async def ask(self) -> Told:
        """Return what the pages tell, all asked at the same time."""
        async with httpx.AsyncClient(timeout=_ANSWER_S, trust_env=False) as client:
            told = await asyncio.gather(*(_page(client, url) for url in self._urls))
        return Told(
            [stage for one in told for stage in one.stages],
            {name: camera for one in told for name, camera in one.cameras.items()},
            [sample for one in told for sample in one.samples],
        )


async def _page(client: httpx.AsyncClient, url: str) -> Told:
    try:
        ready = await client.get(f"{url}/health/ready")
        services = msgspec.json.decode(ready.content, type=dict[str, Any])["services"]
        metrics = (await client.get(f"{url}/metrics")).raise_for_status()
        return _told(services, samples_of(metrics.content, _SAMPLES))
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, LookupError, ValueError) as e:
        detail = mask_urls(f"no health page: {e}")
        return Told([StageHealth(name=mask_urls(url), is_ready=None, detail=detail)])


def _told(services: Mapping[str, Any], samples: Sequence[Sample]) -> Told:
    return Told(
        [
            StageHealth(name=name, is_ready=bool(of["ready"]), detail=_detail(of["detail"]))
            for name, of in services.items()
        ],
        _cameras(services.get(_INGESTOR, {}).get("detail")),
        samples,
    )


def _cameras(detail: object) -> dict[str, ToldCamera]:
    """Return the cameras of an ingestor; none while it opens its adapters."""
    if not isinstance(detail, dict) or "waiting" in detail:
        return {}
    cameras = {name: told for name, told in detail.items() if name != SITE_FILE}
    return msgspec.convert(cameras, dict[str, ToldCamera])


def _plain(status: object) -> Any:
    return msgspec.to_builtins(status, builtin_types=(bytes,))


def _detail(status: Any) -> str:
    """Return what is wrong with a service, in its own words; "" if nothing is."""
    if not isinstance(status, dict):
        return ""
    of_file = status.get(SITE_FILE)
    told = [status, of_file] if isinstance(of_file, dict) else [status]
    problems = [one[key] for one in told for key in _PROBLEMS if one.get(key)]
    texts = [text for p in problems for text in (p if isinstance(p, list) else [p])]
    return mask_urls("; ".join(str(text) for text in texts if text != "running"))


async def health_report(teller: Teller, models: Sequence[ModelInUse], clock: Clock) -> HealthReport:
    """Return the state of the platform."""
    told = await teller.ask()
    return HealthReport(
        at=clock.now(),
        version=__version__,
        stages=tuple(told.stages),
        latencies=tuple(_latencies(told.samples)),
        lag={
            s.labels["service"]: int(s.value)
            for s in told.samples
            if s.name == LAG and "service" in s.labels
        },
        models=tuple(models),
    )


def _latencies(samples: Sequence[Sample]) -> Iterable[Latency]:
    for name, histogram in LATENCIES.items():
        count = sum(s.value for s in _of(samples, histogram) if not isfinite(_bound(s)))
        yield Latency(
            name=name,
            most_s=max(filter(isfinite, map(_bound, _of(samples, histogram))), default=None),
            p50_s=_finite(quantile_bound(samples, histogram, 0.5)),
            p99_s=_finite(quantile_bound(samples, histogram, 0.99)),
            count=int(count),
        )


def _of(samples: Sequence[Sample], histogram: str) -> list[Sample]:
    return [sample for sample in samples if sample.name == f"{histogram}_bucket"]


def _bound(sample: Sample) -> float:
    return float(sample.labels["le"])


def _finite(bound: float | None) -> float | None:
    return bound if bound is not None and isfinite(bound) else None


def models_in_use(profile: Profile, site: Site) -> tuple[ModelInUse, ...]:
    """Return the networks that the cameras of a site need, with licenses and digests."""
    detectors = [profile.detector_for(camera.role, camera.labels) for camera in site.cameras]
    shared = [
        profile.face_finder,
        profile.face_embedder,
        profile.face_beside,
        profile.body_embedder,
        profile.plate_finder,
        profile.plate_reader,
    ]
    used = {model.name: model for model in (*detectors, *shared) if model is not None}
    return tuple(
        ModelInUse(
            task=model.task,
            name=model.name,
            version=model.version,
            license=model.license,
            sha256=model.sha256[0] if model.sha256 else None,
        )
        for model in used.values()
    )
