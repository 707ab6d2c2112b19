"""Runs the platform on one clip, apart from all else on this machine, and scores what it found."""

import os
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from trinetra.errors import ConfigurationError, SourceUnavailable
from trinetra.evaluation.causes import Cause, CountedPlace, likely_causes
from trinetra.evaluation.clip import (
    ClipFindings,
    Counts,
    Wrong,
    audit,
    check_counts,
    wrong_counts,
)
from trinetra.evaluation.evidence import Evidence, EvidenceGathering
from trinetra.evaluation.reading import Gathered
from trinetra.evaluation.scores import ScoreSheet
from trinetra.events.schema import AnyEvent
from trinetra.settings import Settings
from trinetra.site import Camera, FileSource, Site
from trinetra.site.topology import Topology
from trinetra.values import Instant, Role, microseconds
from trinetra.wiring.assembly import Playback
from trinetra.wiring.config import resolver_policy
from trinetra.wiring.networks import Networks
from trinetra.wiring.platform import Platform, embedded


@dataclass(frozen=True, slots=True)
class Scored:
    """The agreement with a person's counts, and the likely causes of what is wrong."""

    sheet: ScoreSheet
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, object]:
        """Return both as plain values."""
        return self.sheet.as_json() | {"causes": [cause.as_json() for cause in self.causes]}


def site_of_clip(video: Path, site: Site | None = None, camera_id: str | None = None) -> Site:
    """Return a site of the one camera that took the clip; without a site, one that reads faces.

    Raises ConfigurationError if the site has several cameras and none of them is named.
    """
    source = FileSource(file=video.resolve())
    if site is None:
        camera = Camera(id=camera_id or "clip", role=Role.FACE, source=source)
        return Site(site="audit", timezone="UTC", cameras=(camera,))
    camera = _chosen(site, camera_id)
    return site.model_copy(
        update={
            "cameras": (camera.model_copy(update={"source": source}),),
            "topology": Topology(),
        }
    )


def _chosen(site: Site, camera_id: str | None) -> Camera:
    there = {camera.id: camera for camera in site.cameras}
    if camera_id is None and len(there) == 1:
        return site.cameras[0]
    if camera_id not in there:
        raise ConfigurationError(
            f"name the camera of the clip with --camera; there are {', '.join(sorted(there))}"
        )
    return there[camera_id]


def settings_of_clip(settings: Settings, folder: Path) -> Settings:
    """Return settings that keep all data of a run in a folder, whatever else is configured.

    People of earlier runs must not be recognized, nor may the clip's figures become the shop's.
    """
    apart = {
        "data_dir": folder,
        "event_log": "memory",
        "frame_buffer": "memory",
        "gallery": "edge",
        "store_url": None,
        "log_level": "ERROR",
    }
    return settings.model_copy(update=apart)


def open_clip(
    site: Site, settings: Settings, networks: Networks, start: Instant, events: Path
) -> AbstractAsyncContextManager[Platform]:
    """Build the platform on a clip whose first frame was taken at ``start``; none is started.

    The events are written to a file. Raises as ``embedded`` does.
    """
    playback = Playback({site.cameras[0].camera_id: start}, in_step=True)
    return embedded(site, settings, networks, playback, environ=os.environ, events_path=events)


def problems_of(platform: Platform) -> list[str]:
    """Return why the clip could not be read to its end."""
    return [status.problem for status in platform.cameras().values() if status.problem]


def require_read(site: Site, problems: list[str]) -> None:
    """Raise SourceUnavailable if the clip could not be read to its end."""
    if problems:
        shown = site.cameras[0].source.shown
        raise SourceUnavailable(f"{shown} cannot be read to its end: {problems[0]}")


def check_places(counts: Counts, camera: Camera) -> None:
    """Raise ConfigurationError for impossible counts, or counts of lines that are not there."""
    check_counts(counts, {line.id for line in camera.lines}, {zone.id for zone in camera.zones})


def score(site: Site, start: Instant, events: Iterable[AnyEvent], counts: Counts) -> Scored:
    """Return how the events of a clip agree with a person's counts."""
    camera = site.cameras[0]
    gathered = Gathered()
    gathering = EvidenceGathering(camera.id, resolver_policy(site).tracker.birth_score)
    for event in events:
        gathered.add(event)
        gathering.add(event)
    found = ClipFindings(camera.id, microseconds(start), camera.reads_faces, gathered.findings())
    sheet = audit(counts, found)
    causes = _causes(site, gathering.evidence(), wrong_counts(counts, sheet))
    return Scored(sheet, tuple(causes))


def _causes(site: Site, evidence: Evidence, wrong: Wrong) -> list[Cause]:
    camera = site.cameras[0]
    places = [
        *(CountedPlace(line.id, (line.a, line.b)) for line in camera.lines),
        *(CountedPlace(zone.id, zone.polygon) for zone in camera.zones),
    ]
    spoilt = [place for place in places if place.id in wrong.places]
    min_face_px = site.policies.matching.min_face_px
    return likely_causes(evidence, wrong.kinds, spoilt, min_face_px, camera.tiles)
