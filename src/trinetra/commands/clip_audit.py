"""``trinetra eval clip``: compares the platform with what the user counted in a clip."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.console import output, print_json, say
from trinetra.commands.hosting import RunOptions, prepare_networks, run_platform
from trinetra.commands.options import grouped_options
from trinetra.commands.score_table import print_sheet
from trinetra.evaluation.causes import Cause
from trinetra.evaluation.clip import Counts
from trinetra.evaluation.reading import events_in
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.values import Instant
from trinetra.wiring.clips import (
    check_places,
    open_clip,
    problems_of,
    require_read,
    score,
    settings_of_clip,
    site_of_clip,
)
from trinetra.wiring.hand_counts import read_counts
from trinetra.wiring.platform import Platform

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
    shop = site_of_clip(video, load_site(site) if site else None, camera)
    check_places(counted, shop.cameras[0])
    start = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="trinetra-audit-") as folder:
        settings = settings_of_clip(load_settings(), Path(folder))
        path = events or Path(folder) / "events.jsonl"
        _run(shop, settings, start, path, quiet=as_json)
        found = score(shop, start, events_in(path), counted)
    if as_json:
        print_json(found.as_json())
        return
    print_sheet(found.sheet, as_json=False)
    _print_causes(found.causes)


def _print_causes(causes: Sequence[Cause]) -> None:
    if causes:
        say("likely causes of the wrong counts:")
    for cause in causes:
        name = cause.name.replace("_", " ") + (f" ({cause.of})" if cause.of else "")
        say(f"- {name}: {cause.measured}")
        say(f"  {cause.advice}")


def _run(shop: Site, settings: Settings, start: Instant, events: Path, *, quiet: bool) -> None:
    problems: list[str] = []

    def note_problems(platform: Platform, _seconds: float) -> None:
        problems.extend(problems_of(platform))

    options = RunOptions(live_view=output().is_terminal and not quiet, serves_web=False)
    networks = prepare_networks(settings, shop)
    opening = open_clip(shop, settings, networks, start, events)
    run_platform(shop, settings, opening, options, report=note_problems)
    require_read(shop, problems)
