"""``trinetra demo``: the platform on five real clips, or on a simulated shop."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.console import note, output
from trinetra.commands.display import print_summary, summarise
from trinetra.commands.hosting import RunOptions, prepare_networks, run_platform
from trinetra.commands.progress import FetchProgress
from trinetra.errors import NoSamples, StorageFull
from trinetra.models.fetch import check_folder
from trinetra.models.samples import ATTRIBUTION, Clip, ensure_clips
from trinetra.settings import Settings, load_settings
from trinetra.site import FileSource, Site, site_from_text
from trinetra.site.writing import site_text
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import Role
from trinetra.wiring.assembly import Playback
from trinetra.wiring.local_secret import borrowed_secret
from trinetra.wiring.networks import Networks
from trinetra.wiring.platform import Platform, embedded
from trinetra.wiring.simulated_shop import SimulatedShop, simulated_shop
from trinetra.wiring.simulation import simulated, site_of

_Once = Annotated[
    bool,
    typer.Option(
        "--once",
        help="Process every frame once, in order, as fast as possible, without the dashboard.",
    ),
]
_Twin = Annotated[bool, typer.Option("--twin", help="Simulate a shop, without clips and networks.")]
_TWIN_SHOPPERS_PER_HOUR = 60
_VISITOR = "demo"
"""User of the dashboard."""
_PATIENCE_S = 600.0
"""With --once, the sources end long before all of their events are processed."""
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
    *,
    once: _Once = False,
    twin: _Twin = False,
    events: _Events = None,
    summary: _Summary = None,
) -> None:
    """Run the whole platform on five real clips, each acting as a camera of one role.

    The clips are repeated, and shown in the browser, until Ctrl-C. Where they can be neither found
    nor downloaded, it simulates a shop instead and says so.
    """
    if summary is not None:
        _write(summary, "", mode="a")  # fails now rather than after the whole run
    settings = load_settings()
    if not twin:
        check_folder(settings.models_dir)  # a mistake also where there are no clips
    if clips := None if twin else _find_clips(settings):
        site = demo_site(clips, loop=not once)
        opening = _clips_opening(site, prepare_networks(settings), once=once, events=events)
    elif once:
        site, opening = _simulated_hour(events)
    else:
        site, opening = _simulated_today(events)

    def report(platform: Platform, seconds: float) -> None:
        print_summary(output(), site, platform, seconds)
        if summary is not None:
            _write(summary, json.dumps(summarise(site, platform, seconds), indent=2) + "\n")

    options = RunOptions(
        live_view=output().is_terminal,
        serves_web=not once,
        secret_folder=settings.data_dir,
        visitor=_VISITOR,
    )
    # A demo starts with empty stores, or its second run would recognize people of the first.
    with (
        tempfile.TemporaryDirectory(prefix="trinetra-demo-") as folder,
        borrowed_secret(settings.data_dir),
    ):
        fresh = settings.model_copy(
            update=_ALONE
            | {"data_dir": Path(folder)}
            | ({"drain_deadline_s": _PATIENCE_S} if once else {})
        )
        run_platform(site, fresh, opening(fresh), options, report=report)


_ALONE = {
    "frame_buffer": "memory",
    "event_log": "memory",
    "journal_max_mb": 0,
    "gallery": "edge",
    "store_url": None,
}
"""A demo uses none of the servers in the settings, and leaves no history."""
_Opening = Callable[[Settings], AbstractAsyncContextManager[Platform]]


def _find_clips(settings: Settings) -> Mapping[Role, Clip] | None:
    """Return the clips, or None if there are none."""
    try:
        with FetchProgress() as progress:
            clips = ensure_clips(settings.samples_dir, settings.cache_dir, progress)
    except NoSamples as cause:
        note(str(cause))
        note("a simulated shop instead: its figures tell nothing about real cameras")
        return None
    note(ATTRIBUTION)
    for role in set(Role) - clips.keys():
        note(f"no clip for the {role.value} camera: it is left out")
    return clips


def _clips_opening(site: Site, networks: Networks, *, once: bool, events: Path | None) -> _Opening:
    now = datetime.now(UTC)
    playback = Playback({camera.camera_id: now for camera in site.cameras}, in_step=once)

    def opening(fresh: Settings) -> AbstractAsyncContextManager[Platform]:
        return embedded(
            site,
            fresh,
            networks,
            playback,
            environ=os.environ,
            events_path=events,
            site_file=None if once else _site_file(site, fresh),
        )

    return opening


def _site_file(site: Site, fresh: Settings) -> Path:
    """Write the site into the folder of a demo, so that a reader can change it on page Setup."""
    path = fresh.data_dir / "site.yaml"
    _write(path, site_text(site))
    return path


def _simulated_hour(events: Path | None) -> tuple[Site, _Opening]:
    """Prepare an hour of a simulated shop, as fast as possible."""
    shop = Twin(built_in_shop(), Scenario(shoppers_per_hour=_TWIN_SHOPPERS_PER_HOUR))
    site = site_of(shop.plan)
    note(f"no cameras: a simulated hour of a shop with {_TWIN_SHOPPERS_PER_HOUR} shoppers")

    def opening(fresh: Settings) -> AbstractAsyncContextManager[Platform]:
        return simulated(site, fresh, shop, speed=None, events_path=events)

    return site, opening


def _simulated_today(events: Path | None) -> tuple[Site, _Opening]:
    """Prepare a simulated shop whose day so far is on record, and which goes on at real pace."""
    shop = SimulatedShop.of(datetime.now(UTC))
    note(f"no cameras: a simulated shop in {shop.city}, where it is {shop.clock_time} now")
    note("its past is on record as simulated; from now on its cameras are simulated, live")

    def opening(fresh: Settings) -> AbstractAsyncContextManager[Platform]:
        file = _site_file(shop.site, fresh)
        return simulated_shop(shop, fresh, events_path=events, site_file=file)

    return shop.site, opening


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


def _write(path: Path, text: str, *, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise StorageFull(f"{path} cannot be written: {reason}; name another file") from cause
