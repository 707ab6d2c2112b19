"""``trinetra twin``: simulates a shop with cameras, and records the ground truth."""

import asyncio
import math
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from trinetra.commands.console import output, print_json
from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.commands.options import grouped_options
from trinetra.commands.portraits import portraits_in
from trinetra.commands.twin_render import render
from trinetra.errors import ConfigurationError
from trinetra.hosting import host
from trinetra.settings import Settings, load_settings
from trinetra.site import Site, load_site
from trinetra.streaming.event_recorder import Tally
from trinetra.telemetry import configure_logging
from trinetra.twin.portraits import Portraits
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behavior, Scenario
from trinetra.twin.service import write
from trinetra.twin.shop import built_in_shop
from trinetra.wiring.simulation import cluster_twin, feed_cluster, floor_plan, simulated, site_of

_SiteFile = Annotated[
    Path | None, typer.Option("--site", help="A site file; without one, a built-in shop.")
]
_PATIENCE_S = 3600.0
"""The twin ends long before all of its events are processed."""
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class ScenarioOptions:
    """The shoppers of a run."""

    shoppers_per_hour: Annotated[
        float,
        typer.Option("--shoppers-per-hour", min=0, help="Average number of shoppers per hour."),
    ] = 60.0
    hours: Annotated[
        float, typer.Option("--hours", min=0.001, help="Opening hours; twelve are one day.")
    ] = 1.0
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of the run.")] = 1
    look_alikes: Annotated[
        float,
        typer.Option("--look-alikes", min=0, max=1, help="Share of people who look like another."),
    ] = 0.0
    faces: Annotated[
        list[Path] | None,
        typer.Option(
            "--faces",
            help="A folder with a folder of photos for each person: their faces for the people.",
        ),
    ] = None

    def portraits(self, settings: Settings) -> Portraits | None:
        """Return the photos of real people, if any were given."""
        return portraits_in(self.faces, settings) if self.faces else None

    def scenario(self) -> Scenario:
        """Return the scenario of a run."""
        behavior = Behavior(look_alike_share=self.look_alikes)
        return Scenario(self.seed, self.shoppers_per_hour, self.hours, behavior=behavior)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where the events and pictures of a run go."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write events.jsonl, truth.jsonl and pos.jsonl into this folder."
        ),
    ] = None
    render_to: Annotated[
        Path | None,
        typer.Option("--render", help="Render each camera's view as a film in this folder."),
    ] = None
    publishes: Annotated[
        bool,
        typer.Option(
            "--publish",
            help="Publish to Kafka or, with event_log=memory, to services in this process.",
        ),
    ] = False
    speed: Annotated[
        str, typer.Option("--speed", help="With --publish: multiple of real time, or max.")
    ] = "max"


twin = typer.Typer(
    cls=lazy_group(
        {
            "measure": LazyCommand(
                "twin_measure", "Measure the noise of cameras and networks on labeled footage."
            ),
            "rtsp": LazyCommand(
                "twin_rtsp", "Serve video files as RTSP cameras, each in a loop, until Ctrl-C."
            ),
        }
    ),
    no_args_is_help=True,
    help="Digital twin: a simulated shop with ground truth.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(twin, name="twin")


@twin.command("run")
@grouped_options
def run(
    people: ScenarioOptions,
    outputs: OutputOptions,
    *,
    site: _SiteFile = None,
    as_json: _Json = False,
) -> None:
    """Simulate shoppers in a shop and the detections of its cameras."""
    configure_logging(as_json=False, level="ERROR")
    speed = parse_speed(outputs.speed)
    loaded = load_site(site, os.environ) if site else None
    plan = floor_plan(loaded) if loaded else built_in_shop()
    shop, settings = loaded or site_of(plan), load_settings()
    to_cluster = outputs.publishes and settings.event_log != "memory"
    scenario = people.scenario()
    model = cluster_twin(plan, scenario, settings) if to_cluster else Twin(plan, scenario)
    model.portraits = people.portraits(settings)
    summary = summarise(model) | _written(model, outputs)
    if to_cluster:
        asyncio.run(feed_cluster(model, shop, settings, speed))
    elif outputs.publishes:
        tally = asyncio.run(resolve(model, shop, speed))
        frames = sum(camera.frames_inferred for camera in tally.cameras.values())
        summary |= {"events": frames, "resolved": tally.insights()}
    _print(summary, as_json=as_json)


def _written(model: Twin, outputs: OutputOptions) -> dict[str, Any]:
    """Write the requested files and return their summary."""
    summary: dict[str, Any] = {}
    if outputs.out:
        written = write(model, outputs.out)
        summary |= {
            "written_to": str(outputs.out),
            "events": written.events,
            "truths": written.truths,
        }
    if outputs.render_to:
        summary["films"] = [str(path) for path in render(model.world, outputs.render_to)]
    return summary


def parse_speed(text: str) -> float | None:
    """Return the factor that ``--speed`` names, None for ``max``. Raises ConfigurationError."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ConfigurationError(f"--speed {text}: give a positive number, or max")
    return factor


def summarise(model: Twin) -> dict[str, Any]:
    """Return a summary of the people and purchases in a run."""
    world, scenario = model.world, model.scenario
    shoppers = [stay for stay in world.stays if stay.person.kind == "shopper"]
    outcomes = Counter(stay.outcome for stay in shoppers)
    return {
        "site": world.plan.site_id,
        "cameras": len(world.plan.views),
        "seed": scenario.seed,
        "hours": scenario.hours,
        "shoppers": len(shoppers),
        "distinct_shoppers": len({stay.person.index for stay in shoppers}),
        "staff": len({s.person.index for s in world.stays if s.person.kind == "staff"}),
        "parties": len({stay.party for stay in shoppers}),
        "cars": len({drive.plate for drive in world.drives}),
        "purchases": len(world.purchases),
        "people_with_photos": model.faces.with_photos([s.person.index for s in world.stays]),
        **{name: outcomes[name] for name in ("bought", "browsed", "balked", "reneged")},
    }


def _print(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for key, value in summary.items():
        table.add_row(key.replace("_", " "), str(value))
    output().print(table)


async def resolve(model: Twin, site: Site, speed: float | None) -> Tally:
    """Publish a run to an event log in memory, and return the tally of the services' events."""
    with tempfile.TemporaryDirectory(prefix="trinetra-twin-") as folder:
        settings = load_settings().model_copy(
            update={"data_dir": Path(folder), "gallery": "memory", "store_url": None}
        )
        async with simulated(site, settings, model, speed=speed) as platform:
            await host(platform.services, stop=asyncio.Event(), drain_deadline_s=_PATIENCE_S)
            return platform.recorder.tally
