"""A recorded day of the twin through the insight engine: the same each time, and in any order."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.benchmarks.insight_engine import identity_events
from trinetra.events.codec import decode
from trinetra.events.rollups import Grain
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES
from trinetra.insights.partitions import CameraPartition
from trinetra.site import Site
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.wiring.config import derivations, insight_plans, insight_policy
from trinetra.wiring.simulation import site_of

SERIES = sorted({series for metric in METRICS for series in metric.series})
KINDS = ("line_crossing", "zone_stay", "passage", "group", "queue_visit", "coverage")
SCENARIO = Scenario(3, 300.0, 0.06)
LATENESS = timedelta(seconds=30)


@pytest.fixture(scope="module")
def site() -> Site:
    return site_of(built_in_shop())


@pytest.fixture(scope="module")
def day(site: Site) -> list[bytes]:
    """Return the identity events of some busy minutes."""
    return identity_events(Twin(built_in_shop(), SCENARIO), site)


def played(site: Site, payloads: Iterable[bytes]) -> list[InsightEvent]:
    partition = CameraPartition(site.site_id, insight_plans(site), insight_policy(site))
    outcomes = [partition.read(payload, n)() for n, payload in enumerate(payloads)]
    return [i for outcome in (*outcomes, partition.flush()) if outcome for i in outcome.insights]


def shuffled(payloads: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """Return events in which cameras are late by up to the lateness, each in its own order."""
    late = defaultdict(timedelta)
    arrivals = []
    for number, payload in enumerate(payloads):
        event = decode(payload)
        if rng.random() < 0.02:
            late[event.camera_id] = rng.random() * LATENESS
        arrivals.append((event.captured_at + late[event.camera_id], number, event.camera_id))
    slots = defaultdict(list)
    for number, payload in enumerate(payloads):
        slots[arrivals[number][2]].append(payload)
    queues = {camera: iter(of_camera) for camera, of_camera in slots.items()}
    return [next(queues[camera]) for _, _, camera in sorted(arrivals)]


async def kept(site: Site, insights: Sequence[InsightEvent], batch: int) -> tuple[list, list]:
    """Return the sums and insights that a store has after all derivations."""
    at = SCENARIO.started_at
    span = (at - timedelta(days=1), at + timedelta(days=1))
    async with SqlInsightStore.open("sqlite://", ROLLUP_RULES) as store:
        await store.prepare_figures(ZoneInfo(site.timezone), {}, at)
        for start in range(0, len(insights), batch):
            await store.record(insights[start : start + batch])
            for derivation in derivations(site):
                while await store.derive(derivation, 100):
                    pass
        sums = [s[:-1] for grain in Grain for s in await store.sums(SERIES, grain, span) if s.value]
        return sums, [i for kind in KINDS for i in await store.fetch(kind, *span)]


def test_a_recorded_day_gives_identical_insights_each_time(site: Site, day: list[bytes]) -> None:
    first = played(site, day)
    assert first == played(site, day)
    assert len(first) > 100


@pytest.mark.parametrize("seed", range(2))
async def test_late_cameras_change_neither_sums_nor_what_is_derived(
    site: Site, day: list[bytes], seed: int
) -> None:
    rng = random.Random(seed)
    disordered = shuffled(day, rng)
    assert disordered != day
    sums, insights = await kept(site, played(site, day), 200)
    late_sums, late_insights = await kept(site, played(site, disordered), rng.randrange(100, 400))
    assert late_insights == insights
    assert late_sums == sums
    assert {type(i).__name__ for i in insights} >= {"LineCrossing", "ZoneStay", "Passage", "Group"}
