"""Runs the platform on a clip, and compares what it found with a person's counts."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trinetra.api import tables
from trinetra.api.files import load_site, read_events
from trinetra.api.loop import LoopThread
from trinetra.api.times import aware
from trinetra.errors import ConfigurationError
from trinetra.evaluation.clip import Counts
from trinetra.events.schema import AnyEvent
from trinetra.hosting import host
from trinetra.models.progress import SilentProgress
from trinetra.settings import load_settings
from trinetra.site import Camera, Site, site_from_text
from trinetra.telemetry import log_as_library
from trinetra.values import Instant, Role
from trinetra.wiring.clips import (
    Scored,
    check_places,
    open_clip,
    problems_of,
    require_read,
    score,
    settings_of_clip,
    site_of_clip,
)
from trinetra.wiring.hand_counts import counts_of, read_counts
from trinetra.wiring.networks import load_networks
from trinetra.wiring.profiles import choose_profile, ensure_models

if TYPE_CHECKING:
    import pyarrow as pa

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ClipRun:
    """What the platform found in a clip that began at ``started_at``.

    ``events`` are all events in the order in which they were written: frames, tracks, identities
    and insights. Those that grew or were corrected are in it several times.
    """

    site: Site
    started_at: Instant
    events: tuple[AnyEvent, ...]

    @property
    def camera(self) -> Camera:
        """The camera that took the clip."""
        return self.site.cameras[0]

    def table(self, kind: str) -> "pa.Table":
        """Return one row per event of one type, such as ``line_crossing``, in its last state.

        Raises ConfigurationError for an unknown type.
        """
        type_ = tables.type_named(kind, tables.EVENTS)
        found = [event for event in self.events if isinstance(event, type_)]
        return tables.events(type_, tables.last_states(found), self.site.timezone)

    def __repr__(self) -> str:
        return f"<ClipRun of {self.camera.source.shown}, {len(self.events)} events>"


@dataclass(frozen=True, slots=True)
class ClipScore(Scored):
    """How a run agrees with a person's counts, and the likely causes where it does not."""

    def table(self) -> "pa.Table":
        """Return one row per score, with its 95 % confidence interval as ``low`` and ``high``."""
        return tables.scores(self.sheet)


def run_clip(
    video: str | Path,
    *,
    site: Site | str | Path | None = None,
    camera: str | None = None,
    role: Role | str | None = None,
    lines: Mapping[str, Sequence[Point]] | None = None,
    zones: Mapping[str, Sequence[Point]] | None = None,
    start: datetime | None = None,
    events: str | Path | None = None,
) -> ClipRun:
    """Run every service on one clip, from its first frame to its last, and return what they found.

    The camera is one of a ``site``, whose lines, zones and policies then hold; ``camera`` names it
    if there are several. Without a site, ``role`` (default: ``face``), ``lines`` (two points each)
    and ``zones`` (three and more) describe it, in 0..1 of the picture from the top left. ``start``
    is when the first frame was taken, by default now. ``events`` keeps the events in a file.

    It starts with an empty gallery and database, which are deleted in the end: what this machine
    has on record stays as it is. Networks that are missing are fetched.

    Raises ConfigurationError, SourceUnavailable for an unreadable clip, or ModelUnavailable.
    """
    log_as_library()
    clip = _site(Path(video), site, camera, _Drawn(role, lines or {}, zones or {}))
    began = aware("start", start) if start else datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="trinetra-clip-") as folder:
        kept = Path(events) if events else Path(folder) / "events.jsonl"
        _play(clip, began, Path(folder), kept)
        return ClipRun(clip, began, tuple(read_events(kept)))


def score_clip(run: ClipRun, counts: Counts | Mapping[str, Any] | str | Path) -> ClipScore:
    """Return how a run agrees with what a person counted, and the likely causes of differences.

    ``counts`` are as in docs/evaluation.md: ``{"people": 3, "lines": {"door": {"in": 2}}}``, or the
    path of such a YAML file. Raises ConfigurationError for counts of unknown lines or zones.
    """
    counted = _counts(counts)
    check_places(counted, run.camera)
    found = score(run.site, run.started_at, run.events, counted)
    return ClipScore(found.sheet, found.causes)


def _counts(counts: Counts | Mapping[str, Any] | str | Path) -> Counts:
    match counts:
        case Counts():
            return counts
        case str() | Path():
            return read_counts(Path(counts))
        case _:
            return counts_of(counts)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A camera that is described by arguments."""

    role: Role | str | None
    lines: Mapping[str, Sequence[Point]]
    zones: Mapping[str, Sequence[Point]]

    def site(self, video: Path, camera: str | None) -> Site:
        """Return a site of this camera, checked as a site file is."""
        drawn = {
            "id": camera or "clip",
            "role": str(self.role or Role.FACE),
            "source": {"file": str(video.resolve())},
            "lines": [_line(name, points) for name, points in self.lines.items()],
            "zones": [{"id": n, "polygon": list(map(list, p))} for n, p in self.zones.items()],
        }
        document = {"site": "clip", "timezone": "UTC", "cameras": [drawn]}
        return site_from_text(json.dumps(document, indent=1), path=Path("run_clip"))


def _line(name: str, points: Sequence[Point]) -> dict[str, object]:
    if len(points) != 2:  # noqa: PLR2004 -- its ends
        raise ConfigurationError(f"line {name!r} has {len(points)} points; write its two ends")
    return {"id": name, "a": list(points[0]), "b": list(points[1])}


def _site(video: Path, site: Site | str | Path | None, camera: str | None, drawn: _Drawn) -> Site:
    if not video.is_file():
        raise ConfigurationError(f"there is no clip {video}; check the path")
    if site is None:
        return drawn.site(video, camera)
    if drawn.role or drawn.lines or drawn.zones:
        raise ConfigurationError(
            "role, lines and zones are those of the site; give either these or a site"
        )
    return site_of_clip(video, site if isinstance(site, Site) else load_site(site), camera)


def _play(clip: Site, start: Instant, folder: Path, events: Path) -> None:
    loop = LoopThread()
    try:
        loop.run(_run(clip, start, folder, events))
    finally:
        loop.close()


async def _run(clip: Site, start: Instant, folder: Path, events: Path) -> None:
    settings = settings_of_clip(load_settings(), folder)
    profile = choose_profile(settings, clip)
    files = ensure_models(profile, settings, SilentProgress())
    networks = load_networks(profile, files, settings, clip)
    async with open_clip(clip, settings, networks, start, events) as platform:
        never = asyncio.Event()
        await host(platform.services, stop=never, drain_deadline_s=settings.drain_deadline_s)
        problems = problems_of(platform)
    require_read(clip, problems)
