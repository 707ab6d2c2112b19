"""``trinetra twin``: a simulated shop that emits what real cameras and models would."""

import asyncio
import math
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory import MemoryEventLog
from trinetra.adapters.memory_gallery import MemoryGallery
from trinetra.adapters.sql import SqlInsightStore
from trinetra.commands.console import output, print_json
from trinetra.errors import ConfigurationError
from trinetra.identities.recognition import Recogniser
from trinetra.identities.service import IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.manifest import load_manifest
from trinetra.recording import EventRecorder, Tally
from trinetra.settings import load_settings
from trinetra.site import Site, load_site
from trinetra.telemetry import configure_logging
from trinetra.twin.layout import Distances, Sketch, gaps_m, lay_out
from trinetra.twin.plan import FloorPlan, Line, Zone
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behaviour, Scenario
from trinetra.twin.service import Published, publish, write
from trinetra.twin.shop import built_in_shop
from trinetra.values import Role
from trinetra.wiring import plans

_SiteFile = Annotated[
    Path | None, typer.Option("--site", help="A site file; without one, a built-in shop.")
]
_PerHour = Annotated[
    float, typer.Option("--shoppers-per-hour", min=0, help="People who come in, on average.")
]
_Hours = Annotated[
    float, typer.Option("--hours", min=0.001, help="Opening hours; twelve are one day.")
]
_Speed = Annotated[
    str, typer.Option("--speed", help="With --publish: times as fast as real, or max.")
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Another seed, another run.")]
_Out = Annotated[
    Path | None,
    typer.Option("--out", help="Write events.jsonl, truth.jsonl and pos.jsonl into this folder."),
]
_Publish = Annotated[
    bool, typer.Option("--publish", help="Feed the event log, and resolve and count in here.")
]
_LookAlikes = Annotated[
    float, typer.Option("--look-alikes", min=0, max=1, help="Share of people with another's face.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

twin = typer.Typer(no_args_is_help=True, help="A simulated shop, with the truth beside it.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(twin, name="twin")


@twin.callback()
def _group() -> None:
    """Keep `run` a command of its own while it is the only one."""


@twin.command("run")
def run(
    *,
    site: _SiteFile = None,
    shoppers_per_hour: _PerHour = 60.0,
    hours: _Hours = 1.0,
    speed: _Speed = "max",
    seed: _Seed = 1,
    out: _Out = None,
    publish_events: _Publish = False,
    look_alikes: _LookAlikes = 0.0,
    as_json: _Json = False,
) -> None:
    """Let shoppers walk through a shop, and tell what its cameras would have seen."""
    configure_logging(as_json=False, level="ERROR")
    factor = parse_speed(speed)
    loaded = load_site(site, os.environ) if site else None
    plan = floor_plan(loaded) if loaded else built_in_shop()
    behaviour = Behaviour(look_alike_share=look_alikes)
    scenario = Scenario(seed, shoppers_per_hour, hours, behaviour=behaviour)
    model = Twin(plan, scenario)
    summary = summarise(model)
    if out:
        written = write(model, out)
        summary |= {"written_to": str(out), "events": written.events, "truths": written.truths}
    if publish_events:
        shop = loaded or site_of(plan)
        published, tally = asyncio.run(resolve(model, shop, factor))
        summary |= {"events": published.events, "resolved": tally.insights()}
    _print(summary, as_json=as_json)


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
    """Return what happened in a run."""
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


# --- between the site file and the twin's floor plan ----------------------------------------------


def floor_plan(site: Site) -> FloorPlan:
    """Return a floor plan on which the site's cameras see people."""
    sketches = [
        Sketch(
            camera_id=camera.camera_id,
            role=camera.role,
            fps=camera.fps,
            labels=frozenset(camera.labels),
            reads_faces=camera.reads_faces,
            min_face_px=float(site.policies.matching.min_face_px),
            lines=tuple(Line(line.id, line.a, line.b) for line in camera.lines),
            zones=tuple(Zone(zone.id, zone.polygon, zone.kind) for zone in camera.zones),
        )
        for camera in site.cameras
    ]
    return lay_out(site.site_id, sketches, _distances(site))


def _distances(site: Site) -> Distances:
    graph = plans.site_graph(site)
    cameras = [camera.camera_id for camera in site.cameras]
    known = {(a, b): graph.distance(a, b) for a in cameras for b in cameras if a != b}
    return {pair: metres for pair, metres in known.items() if metres is not None}


def site_of(plan: FloorPlan) -> Site:
    """Return the site that a floor plan is, so that the services can run on it."""
    gaps = gaps_m(plan)
    roles = {view.camera_id: view.role for view in plan.views}
    walked = {pair: m for pair, m in gaps.items() if Role.VEHICLE not in {roles[c] for c in pair}}
    return Site.model_validate(
        {
            "site": plan.site_id,
            "timezone": "UTC",
            "cameras": [
                {
                    "id": view.camera_id,
                    "role": view.role,
                    "source": {"url": f"rtsp://127.0.0.1:8554/{view.camera_id}"},
                    "fps": view.fps,
                    "labels": sorted(view.labels),
                    "reads_faces": view.reads_faces,
                    "lines": [{"id": i.line_id, "a": i.a, "b": i.b} for i in view.lines],
                    "zones": [
                        {"id": z.zone_id, "kind": z.kind, "polygon": z.polygon} for z in view.zones
                    ],
                }
                for view in plan.views
            ],
            "topology": {
                "edges": [
                    {"from": a, "to": b, "distance_m": m} for (a, b), m in walked.items() if m > 0
                ],
                "overlaps": [pair for pair, m in walked.items() if m == 0],
            },
        }
    )


# --- the services behind the log ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stage:
    """A running service, to be stopped when what is before it has ended."""

    stopping: asyncio.Event
    task: "asyncio.Task[None]"

    async def drain(self) -> None:
        """Let the service finish what the log holds."""
        self.stopping.set()
        await self.task


async def resolve(model: Twin, site: Site, speed: float | None) -> tuple[Published, Tally]:
    """Publish a run into an event log in memory, and have it resolved and counted.

    Returns what was published and the tally of what the services made of it.
    """
    clock = SystemClock()
    log = MemoryEventLog(clock)
    async with _services(site, log, clock) as (stages, tally):
        published = await publish(model.arrivals(), log, clock, speed)
        for stage in stages:
            await stage.drain()
    return published, tally


@asynccontextmanager
async def _services(
    site: Site, log: MemoryEventLog, clock: SystemClock
) -> AsyncIterator[tuple[list[_Stage], Tally]]:
    face = load_manifest().profile(load_settings().profile).face_embedder
    recogniser = Recogniser(
        site_id=site.site_id,
        gallery=MemoryGallery(face.dimension),
        registry=plans.registry(site),
        graph=plans.site_graph(site),
        clock=clock,
        model=face.version,
        dimension=face.dimension,
        policy=plans.recognition_policy(site, face.calibration),
    )
    async with SqlInsightStore.open("sqlite://") as store, asyncio.TaskGroup() as group:
        with EventRecorder(log) as recorder:
            services = (
                IdentityResolver(log, recogniser, plans.resolver_policy(site)),
                InsightEngine(
                    site.site_id, log, store, plans.insight_plans(site), plans.insight_policy(site)
                ),
                recorder,
            )
            stages = []
            for service in services:
                stopping = asyncio.Event()
                stages.append(_Stage(stopping, group.create_task(service.run(stopping))))
            yield stages, recorder.tally
