"""``trinetra demo``: the platform on five real clips."""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.console import note, output
from trinetra.commands.display import print_summary, summarise
from trinetra.commands.progress import FetchProgress
from trinetra.commands.running import RunOptions, prepare_networks, run_platform
from trinetra.errors import StorageFull
from trinetra.models.samples import Clip, ensure_clips
from trinetra.settings import load_settings
from trinetra.site import FileSource, Site, site_from_text
from trinetra.values import Role
from trinetra.wiring.platform import Platform

_Once = Annotated[bool, typer.Option("--once", help="As fast as possible, every frame in order.")]
_Loop = Annotated[bool, typer.Option("--loop", help="Start clips again at their end, for ever.")]
_Events = Annotated[
    Path | None, typer.Option("--events", help="Write every event to this file, one a line.")
]
_Summary = Annotated[
    Path | None, typer.Option("--summary", help="Write the summary to this file, as JSON.")
]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command("demo")(demo)


def demo(
    *, once: _Once = False, loop: _Loop = False, events: _Events = None, summary: _Summary = None
) -> None:
    """Run the whole platform on five real clips, each acting as a camera of one role."""
    if once and loop:
        raise typer.BadParameter("--once plays to the end, --loop never ends: choose one")
    if summary is not None:
        _write(summary, "", mode="a")  # told now rather than after the whole run
    settings = load_settings()
    networks = prepare_networks(settings)
    with FetchProgress() as progress:
        clips = ensure_clips(settings.samples_dir, settings.cache_dir, progress)
    _tell_origins(clips)
    site = demo_site(clips, loop=loop)
    now = datetime.now(UTC)
    starts = {camera.camera_id: now for camera in site.cameras}

    def report(platform: Platform, seconds: float) -> None:
        print_summary(output(), site, platform, seconds)
        if summary is not None:
            _write(summary, json.dumps(summarise(site, platform, seconds), indent=2) + "\n")

    options = RunOptions(
        in_step=once,
        events_path=events,
        live_view=output().is_terminal,
        serves_health=not once,
    )
    # A demo starts without memory, or its second run would know the people of the first.
    with tempfile.TemporaryDirectory(prefix="trinetra-demo-") as folder:
        fresh = settings.model_copy(update={"data_dir": Path(folder)})
        run_platform(site, fresh, networks, starts, options, report=report)


def demo_site(clips: Mapping[Role, Clip], *, loop: bool) -> Site:
    """Return the demo shop with those cameras for which there is a clip."""
    text = (resources.files("trinetra.commands") / "demo_site.yaml").read_text()
    shop = site_from_text(text)
    cameras = tuple(
        camera.model_copy(update={"source": FileSource(file=clips[camera.role].path, loop=loop)})
        for camera in shop.cameras
        if camera.role in clips
    )
    there = {camera.id for camera in cameras}
    edges = tuple(e for e in shop.topology.edges if {e.from_camera, e.to_camera} <= there)
    topology = shop.topology.model_copy(update={"edges": edges})
    return shop.model_copy(update={"cameras": cameras, "topology": topology})


def _tell_origins(clips: Mapping[Role, Clip]) -> None:
    for attribution in dict.fromkeys(clip.attribution for clip in clips.values()):
        note(attribution)
    for role, clip in clips.items():
        if clip.stands_in:
            note(f"{clip.path.name} stands in for the {role.value} clip: expect other figures")
    for role in set(Role) - clips.keys():
        note(f"no clip for the {role.value} camera: it is left out")


def _write(path: Path, text: str, *, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise StorageFull(f"{path} cannot be written: {reason}; name another file") from cause
