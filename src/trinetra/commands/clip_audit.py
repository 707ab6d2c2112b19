"""``trinetra eval clip``: compares the platform with what the user counted in a clip."""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from trinetra.commands.console import output, print_json, say
from trinetra.commands.hosting import RunOptions, prepare_networks, run_platform
from trinetra.commands.options import grouped_options
from trinetra.commands.score_table import print_sheet
from trinetra.errors import ConfigurationError, SourceUnavailable
from trinetra.evaluation.causes import Cause, CountedPlace, likely_causes
from trinetra.evaluation.clip import (
    ClipFindings,
    Counts,
    LineCounts,
    Wrong,
    ZoneCounts,
    audit,
    check_counts,
    wrong_counts,
)
from trinetra.evaluation.evidence import Evidence
from trinetra.evaluation.reading import read_events, read_evidence
from trinetra.settings import Settings, load_settings
from trinetra.site import Camera, FileSource, Site, load_site
from trinetra.site.document import Document, Loc, Unreadable, decode_text, read_document
from trinetra.site.topology import Topology
from trinetra.values import Role, microseconds
from trinetra.wiring.assembly import Playback
from trinetra.wiring.config import resolver_policy
from trinetra.wiring.platform import Platform, embedded

_Kind = TypeVar("_Kind")
_Video = Annotated[
    Path, typer.Argument(metavar="VIDEO", help="The clip.", exists=True, dir_okay=False)
]
_SiteFile = Annotated[
    Path | None, typer.Option("--site", help="The site file with the camera's lines and zones.")
]
_Camera = Annotated[str | None, typer.Option("--camera", help="Which camera took the clip.")]
_Keep = Annotated[Path | None, typer.Option("--events", help="Keep the events in this file.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``eval``."""
    group.command("clip")(audit_clip)


@dataclass(frozen=True, slots=True)
class CountOptions:
    """The user's own counts of the clip."""

    file: Annotated[
        Path | None, typer.Option("--counts", help="File with your counts: see docs/evaluation.md.")
    ] = None
    persons: Annotated[
        int | None, typer.Option("--persons", min=0, help="How many different people you saw.")
    ] = None

    def read(self) -> Counts:
        """Return the counts. Raises BadParameter or ConfigurationError."""
        if (self.file is None) == (self.persons is None):
            raise typer.BadParameter("give your own counts with --counts FILE or --persons N")
        return Counts(people=self.persons) if self.file is None else read_counts(self.file)


@grouped_options
def audit_clip(
    video: _Video,
    counts: CountOptions,
    *,
    site: _SiteFile = None,
    camera: _Camera = None,
    events: _Keep = None,
    as_json: _Json = False,
) -> None:
    """Compare the platform's counts with your own on a clip."""
    counted = counts.read()
    shop = _shop(video, site, camera)
    taken_by = shop.cameras[0]
    check_counts(
        counted, {line.id for line in taken_by.lines}, {zone.id for zone in taken_by.zones}
    )
    with tempfile.TemporaryDirectory(prefix="trinetra-audit-") as folder:
        # An audit starts with an empty gallery: people of earlier runs must not be recognized.
        fresh = {"data_dir": Path(folder), "log_level": "ERROR"}
        settings = load_settings().model_copy(update=fresh)
        path = events or Path(folder) / "events.jsonl"
        found = _run(shop, settings, path, quiet=as_json)
        birth_score = resolver_policy(shop).tracker.birth_score
        evidence = read_evidence(path, taken_by.id, birth_score)
    sheet = audit(counted, found)
    causes = _causes(shop, evidence, wrong_counts(counted, sheet))
    if as_json:
        print_json(sheet.as_json() | {"causes": [cause.as_json() for cause in causes]})
        return
    print_sheet(sheet, as_json=False)
    _print_causes(causes)


def _causes(shop: Site, evidence: Evidence, wrong: Wrong) -> list[Cause]:
    camera = shop.cameras[0]
    places = [
        *(CountedPlace(line.id, (line.a, line.b)) for line in camera.lines),
        *(CountedPlace(zone.id, zone.polygon) for zone in camera.zones),
    ]
    spoilt = [place for place in places if place.id in wrong.places]
    min_face_px = shop.policies.matching.min_face_px
    return likely_causes(evidence, wrong.kinds, spoilt, min_face_px, camera.tiles)


def _print_causes(causes: Sequence[Cause]) -> None:
    if causes:
        say("likely causes of the wrong counts:")
    for cause in causes:
        name = cause.name.replace("_", " ") + (f" ({cause.of})" if cause.of else "")
        say(f"- {name}: {cause.measured}")
        say(f"  {cause.advice}")


def _run(shop: Site, settings: Settings, events: Path, *, quiet: bool) -> ClipFindings:
    camera, start = shop.cameras[0], datetime.now(UTC)
    problems: list[str] = []

    def note_problems(platform: Platform, _seconds: float) -> None:
        problems.extend(s.problem for s in platform.cameras().values() if s.problem)

    options = RunOptions(live_view=output().is_terminal and not quiet, serves_health=False)
    networks = prepare_networks(settings, shop)
    playback = Playback({camera.camera_id: start}, in_step=True)
    opening = embedded(shop, settings, networks, playback, environ=os.environ, events_path=events)
    run_platform(shop, settings, opening, options, report=note_problems)
    if problems:
        raise SourceUnavailable(f"{camera.source.shown} cannot be read to its end: {problems[0]}")
    found = read_events(events)
    return ClipFindings(camera.id, microseconds(start), camera.reads_faces, found)


def read_counts(path: Path) -> Counts:
    """Return the counts in a YAML file; raises ConfigurationError with file, line and column."""
    try:
        document = read_document(decode_text(path.read_bytes()))
    except OSError as cause:
        raise ConfigurationError(f"{path} cannot be read: {cause.strerror}") from cause
    except Unreadable as cause:
        fault = cause.fault
        place = f"{fault.place.line}:{fault.place.column}"
        raise ConfigurationError(f"{path}:{place}: {fault.message} ({fault.hint})") from cause
    if document.faults:
        fault = document.faults[0]
        place = f"{fault.place.line}:{fault.place.column}"
        raise ConfigurationError(f"{path}:{place}: {fault.message} ({fault.hint})")
    _check_entries(document, path)
    return _converted(document, path, (), Counts)


def _check_entries(document: Document, path: Path) -> None:
    """Check each line and zone by itself, because msgspec's errors do not name them."""
    data = document.data if isinstance(document.data, dict) else {}
    for section, kind in (("lines", LineCounts), ("zones", ZoneCounts)):
        entries = data.get(section)
        for name in entries if isinstance(entries, dict) else {}:
            _converted(document, path, (section, name), kind)


def _converted(document: Document, path: Path, loc: Loc, kind: type[_Kind]) -> _Kind:
    value = document.data
    for step in loc:
        value = value[step]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as cause:
        what, _, where = str(cause).partition(" - at `$")
        steps = re.findall(r"[^.\[\]`]+", where)
        inner = tuple(int(step) if step.isdigit() else step for step in steps)
        place = document.place_of_value((*loc, *inner))
        raise ConfigurationError(f"{path}:{place.line}:{place.column}: {what}") from cause


def _shop(video: Path, site: Path | None, camera_id: str | None) -> Site:
    """Return a shop of the one camera that took the clip."""
    source = FileSource(file=video.resolve())
    if site is None:
        camera = Camera(id=camera_id or "clip", role=Role.FACE, source=source)
        return Site(site="audit", timezone="UTC", cameras=(camera,))
    shop = load_site(site)
    camera = _chosen(shop, camera_id)
    return shop.model_copy(
        update={
            "cameras": (camera.model_copy(update={"source": source}),),
            "topology": Topology(),
        }
    )


def _chosen(shop: Site, camera_id: str | None) -> Camera:
    there = {camera.id: camera for camera in shop.cameras}
    if camera_id is None and len(there) == 1:
        return shop.cameras[0]
    if camera_id not in there:
        raise ConfigurationError(
            f"name the camera of the clip with --camera; there are {', '.join(sorted(there))}"
        )
    return there[camera_id]
