"""``trinetra run``: the whole platform on one machine."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.console import output
from trinetra.commands.display import print_summary, summarise
from trinetra.commands.hosting import (
    RunOptions,
    configure_output,
    prepare_networks,
    run_platform,
)
from trinetra.settings import load_settings
from trinetra.site import load_site
from trinetra.telemetry import get_logger
from trinetra.wiring.assembly import Playback
from trinetra.wiring.platform import Platform, embedded

_SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
_Events = Annotated[
    Path | None, typer.Option("--events", help="Write every event to this file, one a line.")
]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Logs only, no live view.")]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("run")(run)


def run(site: _SiteFile, *, events: _Events = None, quiet: _Quiet = False) -> None:
    """Run every service in this process until Ctrl-C, or until all recordings have ended."""
    settings = load_settings()
    configure_output(settings)
    loaded = load_site(site, os.environ)
    networks = prepare_networks(settings, loaded)
    now = datetime.now(UTC)

    def report(platform: Platform, seconds: float) -> None:
        if settings.log_json:
            get_logger("command").info("summary", **summarise(loaded, platform, seconds))
        else:
            print_summary(output(), loaded, platform, seconds)

    playback = Playback({camera.camera_id: now for camera in loaded.cameras})
    opening = embedded(
        loaded,
        settings,
        networks,
        playback,
        environ=os.environ,
        events_path=events,
        site_file=site,
    )
    options = RunOptions(live_view=output().is_terminal and not quiet and not settings.log_json)
    run_platform(loaded, settings, opening, options, report=report)
