"""How right the platform is on the digital twin: ``measure(store, seed)``.

The twin's events go through the real resolver and insight engine, and what those say is scored
against the twin's truth. Everything runs in one thread in the order of capture, so that a seed
gives the same scores on every machine.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from trinetra.adapters.memory import MemoryEventLog
from trinetra.adapters.memory_gallery import MemoryGallery
from trinetra.evaluation.identity import WITH_FACES
from trinetra.evaluation.reading import read_events, read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import Choices, identities_sheet, insights_sheet, tracks_sheet
from trinetra.events.schema import InsightEvent, Visit
from trinetra.hosting import Service
from trinetra.identities.recognition import Recogniser
from trinetra.identities.service import IdentityResolver
from trinetra.insights.service import InsightEngine
from trinetra.models.manifest import load_manifest
from trinetra.ports import EventLog
from trinetra.recording import EventRecorder
from trinetra.site import Site
from trinetra.twin.emission import MODELS
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.service import publish, write
from trinetra.twin.shop import built_in_shop
from trinetra.values import EPOCH, CustomerId, EventId, Instant
from trinetra.wiring import plans
from trinetra.wiring.simulation import site_of

PROFILE = "default"
_AHEAD = 64
"""Frames of one partition that may wait for the resolver: cameras stay within seconds of each
other, as they do in life."""


@dataclass(frozen=True, slots=True)
class Store:
    """A size of shop."""

    shoppers_per_hour: float
    hours: float


STORES: Mapping[str, Store] = {
    "small": Store(20.0, 0.4),
    "medium": Store(60.0, 0.4),
    "busy": Store(240.0, 0.25),
}
SEEDS = (1, 2, 3, 4)
ERRORS = frozenset(
    {
        "id_switches_per_1000_boxes",
        "false_match_rate",
        "misidentified_rate",
        "false_new_rate",
        "undecided_rate",
        "splits",
        "merges",
        "people_error_percent",
        "footfall_error_percent",
        "visitors_error_percent",
        "visits_error_percent",
        "dwell_error_s",
    }
)
"""Scores that are better the smaller they are."""
_LEAST_NOISE = 0.01


class _ReplayClock:
    """Real time to sleep by, but no camera ever counts as silent: a replay outruns the clock."""

    def now(self) -> Instant:
        """Return always the same instant."""
        return EPOCH

    def monotonic(self) -> float:
        """Return always the same time."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Return after that many real seconds."""
        await asyncio.sleep(seconds)


class _InsightShelf:
    """Insights in a dictionary; without the threads of a database everything keeps its order."""

    def __init__(self) -> None:
        self._kept: dict[EventId, InsightEvent] = {}
        self._last: dict[CustomerId, Visit] = {}

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by event id."""
        for insight in insights:
            self._kept[insight.event_id] = insight
            if isinstance(insight, Visit):
                self._last[insight.customer_id] = insight

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one type in their order."""
        found = [i for i in self._kept.values() if str(i.__struct_config__.tag) == kind]
        return sorted(
            (i for i in found if start <= i.captured_at < end), key=lambda i: i.captured_at
        )

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return a customer's most recent visit."""
        return self._last.get(customer_id)


def measure(store: Store, seed: int) -> dict[str, float]:
    """Return the scores of one run in the built-in shop."""
    plan = built_in_shop()
    site = site_of(plan)
    twin = Twin(plan, Scenario(seed, store.shoppers_per_hour, store.hours))
    with tempfile.TemporaryDirectory(prefix="trinetra-accuracy-") as name:
        folder = Path(name)
        write(twin, folder)
        asyncio.run(_resolve(twin, site, folder / "found.jsonl"))
        truth, findings = read_truth(folder / "truth.jsonl"), read_events(folder / "found.jsonl")
    choices = Choices(min_dwell_s=min(z.min_dwell_s for c in site.cameras for z in c.zones))
    return {
        **_of_tracks(tracks_sheet(truth, findings, choices)),
        **_of_identities(identities_sheet(truth, findings, choices)),
        **_of_insights(insights_sheet(truth, findings, choices)),
    }


def summarise(runs: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """Return mean, noise and each seed's value of every score.

    ``noise`` is twice the deviation between seeds: a change that moves a score of one seed by less
    cannot be told from chance.
    """
    names = sorted({name for scores in runs.values() for name in scores})
    return {name: _summary({s: r[name] for s, r in runs.items() if name in r}) for name in names}


def shortfalls(
    measured: Mapping[str, float], baseline: Mapping[str, Any], seed: int
) -> dict[str, tuple[float, float, float]]:
    """Return the scores that are worse than the baseline's of this seed by more than its noise.

    Each is given as measured, as in the baseline, and with the noise.
    """
    worse = {}
    for name, expected in baseline.items():
        before, noise = expected["by_seed"].get(str(seed)), expected["noise"]
        if before is None:
            continue
        now = measured.get(name, nan)
        loss = now - before if name in ERRORS else before - now
        if not loss <= noise:  # also where it is no longer measured
            worse[name] = (now, before, noise)
    return worse


async def _resolve(twin: Twin, site: Site, found: Path) -> None:
    """Let the twin's events run through resolver and insight engine; write what they say."""
    clock = _ReplayClock()
    log = MemoryEventLog(clock, max_records=_AHEAD)
    with EventRecorder(log, found) as recorder:
        services: tuple[Service, ...] = (
            _resolver(site, log, clock),
            InsightEngine(
                site.site_id,
                log,
                _InsightShelf(),
                plans.insight_plans(site),
                plans.insight_policy(site),
                clock=clock,
            ),
            recorder,
        )
        async with asyncio.TaskGroup() as group:
            stops = [asyncio.Event() for _ in services]
            tasks = [
                group.create_task(service.run(stop))
                for service, stop in zip(services, stops, strict=True)
            ]
            await publish(twin.arrivals(), log, clock)
            for stop, task in zip(stops, tasks, strict=True):
                stop.set()
                await task


def _resolver(site: Site, log: EventLog, clock: _ReplayClock) -> IdentityResolver:
    face = load_manifest().profile(PROFILE).face_embedder
    recogniser = Recogniser(
        site_id=site.site_id,
        gallery=MemoryGallery(face.dimension),
        registry=plans.registry(site),
        graph=plans.site_graph(site),
        clock=clock,
        model=MODELS["face_embed"],  # the faces of another model would not be compared
        dimension=face.dimension,
        policy=plans.recognition_policy(site, face.calibration),
    )
    return IdentityResolver(log, recogniser, plans.resolver_policy(site))


def _of_tracks(sheet: ScoreSheet) -> dict[str, float]:
    boxes = float(str(sheet.basis["true_boxes"]))
    switches = sheet.value("id_switches") or 0.0
    return {
        **_values(sheet, "hota", "idf1", "mota"),
        "id_switches_per_1000_boxes": 1000.0 * switches / boxes,
    }


def _of_identities(sheet: ScoreSheet) -> dict[str, float]:
    people = next(score for score in sheet.scores if score.name == "people_error")
    names = (
        "identity_f1",
        "identity_precision",
        "false_match_rate",
        "misidentified_rate",
        "false_new_rate",
        "undecided_rate",
        "splits",
        "merges",
    )
    return {
        **_values(sheet, *names),
        "identity_f1_where_faces_are_read": sheet.value("identity_f1", WITH_FACES) or 0.0,
        "people_error_percent": 100.0 * abs(people.value or 0.0) / max(1.0, people.truth or 0.0),
    }


def _of_insights(sheet: ScoreSheet) -> dict[str, float]:
    renamed = {
        "footfall_error": "footfall_error_percent",
        "unique_visitors_error": "visitors_error_percent",
        "visits_error": "visits_error_percent",
        "dwell_error": "dwell_error_s",
        "crossing_recall": "crossing_recall",
        "crossing_precision": "crossing_precision",
        "stay_recall": "stay_recall",
        "stay_precision": "stay_precision",
    }
    return {
        new: mean for old, new in renamed.items() if (mean := _mean_size(sheet, old)) is not None
    }


def _mean_size(sheet: ScoreSheet, name: str) -> float | None:
    """Return the mean size of a score over all lines or zones, each by what it rests on."""
    rows = [
        (abs(s.value), s.n or 0) for s in sheet.scores if s.name == name and s.value is not None
    ]
    weight = sum(n for _, n in rows)
    return sum(value * n for value, n in rows) / weight if weight else None


def _values(sheet: ScoreSheet, *names: str) -> dict[str, float]:
    told = {name: sheet.value(name) for name in names}
    return {name: value for name, value in told.items() if value is not None}


def _summary(values: Mapping[int, float]) -> dict[str, Any]:
    figures = list(values.values())
    spread = stdev(figures) if len(figures) > 1 else 0.0
    return {
        "mean": round(fmean(figures), 4),
        "noise": round(max(_LEAST_NOISE, 2 * spread), 4),
        "standard_error": round(spread / sqrt(len(figures)), 4),
        "by_seed": {str(seed): round(value, 4) for seed, value in values.items()},
    }
