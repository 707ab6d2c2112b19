"""Several resolvers, each with its own registry replica, agree on its content."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from tests.faults.kafka_fleet import kafka_fleet
from tests.faults.resolvers import (
    DIMENSION,
    Fleet,
    InterruptibleGallery,
    Reader,
    eventually,
    memory_log,
    play,
    twin_stream,
)
from tests.flows.shop import SITE, Person, record, visit

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.events.schema import AlertEvent, AnyEvent, DetectionEvent
from trinetra.events.topics import DETECTIONS, IDENTITIES
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.registry_events import registry_events
from trinetra.identities.gate.topology import SiteGraph, build_graph
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, CustomerId, SiteId
from trinetra.wiring.simulation import site_of
from trinetra.wiring.site_graph import site_graph

pytestmark = pytest.mark.faults
TWIN_SITE = site_of(built_in_shop())
GRAPH = site_graph(TWIN_SITE)
DOOR, TILL = CameraId("door"), CameraId("till")
FAR_APART = build_graph([DOOR, TILL], [(DOOR, TILL, 400.0)])


def from_the_log(reader: Reader, graph: SiteGraph) -> ActiveRegistry:
    """Return the registry built from the log alone."""
    registry = ActiveRegistry()
    for place, values in reader.said.items():
        if place.startswith(IDENTITIES.name):
            for value in values:
                for who, kind, sighting in registry_events(value, graph):
                    registry.see(who, kind, sighting)
    return registry


def known(registry: ActiveRegistry, who: set[CustomerId]) -> dict[CustomerId, object]:
    """Return when each of these people was seen by which camera, without floor positions."""
    presences = {customer: registry.get(customer) for customer in sorted(who)}
    return {
        customer: {s.camera_id: (s.first_at, s.last_at) for s in presence.sightings.values()}
        for customer, presence in presences.items()
        if presence is not None
    }


def people_of(reader: Reader) -> set[CustomerId]:
    return {
        who
        for values in reader.said.values()
        for value in values
        for who, _, _ in registry_events(value, SiteGraph())
        if b'"type":"alert"' not in value
    }


async def agree(fleet: Fleet, reader: Reader, graph: SiteGraph) -> None:
    """Return once all members have read the log; the test runner's timeout ends a hang."""
    who = people_of(reader)
    told = known(from_the_log(reader, graph), who)
    assert len(told) == len(who)
    while any(known(registry, who) != told for registry in fleet.registries):
        fleet.check()
        await asyncio.sleep(0)
        await reader.read(0)
    assert all(len(registry) == len(told) for registry in fleet.registries)


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_was_killed_when_all_registries_are_what_the_log_says(seed: int) -> None:
    fleet = Fleet(SiteId(TWIN_SITE.site_id), graph=GRAPH, mirrored=True)
    stream = twin_stream(seed, shoppers_per_hour=240.0, hours=0.015)

    async def at_the_end(reader: Reader) -> None:
        while len(fleet.members) < 3:
            fleet.join()
        await agree(fleet, reader, GRAPH)

    await play(fleet, stream, Random(seed), at_the_end=at_the_end)
    assert fleet.killed >= 5


@pytest.mark.kafka
async def test_on_kafka_too_three_resolvers_that_die_at_random_agree_in_the_end(
    kafka_servers: str,
) -> None:
    async with kafka_fleet(kafka_servers, TWIN_SITE, mirrored=True) as fleet:

        async def at_the_end(reader: Reader) -> None:
            while len(fleet.members) < 3:
                fleet.join()
            await agree(fleet, reader, GRAPH)

        reader = await play(
            fleet,
            twin_stream(3, shoppers_per_hour=240.0, hours=0.02),
            Random(7),
            kill_share=0.15,
            most_kills=1,
            tick_us=3_000_000,
            wait_s=0.05,
            at_the_end=at_the_end,
        )
        await reader.subscription.close()
    assert fleet.killed >= 5


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_impossible_way_between_cameras_of_two_resolvers_is_noticed(
    *, restarted: bool
) -> None:
    anna = Person(1)
    shop = Fleet(SITE, model="test@1", graph=FAR_APART, mirrored=True)
    reader = await Reader.on(shop.log)
    shop.join()
    shop.join()
    at_door, at_till = list(visit(DOOR, 0, [anna])), list(visit(TILL, 2, [anna]))
    assert record(at_door[0]).topic == DETECTIONS
    await shop.log.append([record(event) for event in at_door])
    await reader.until(lambda r: r.tracks == len(at_door))
    if restarted:  # no member is left that saw her
        await shop.kill_all()
        shop.join()
        shop.join()
    (who,) = people_of(reader)
    await eventually(lambda: all(registry.get(who) for registry in shop.registries))
    await shop.log.append([record(event) for event in at_till])
    await reader.until(lambda r: r.tracks == len(at_door) + len(at_till))
    await shop.kill_all()
    (alert,) = [event for event in reader.events() if isinstance(event, AlertEvent)]
    assert (alert.rule, alert.camera_id, alert.customer_id) == ("impossible_transition", TILL, who)


async def test_one_process_too_knows_after_a_restart_who_was_seen_before(tmp_path: Path) -> None:
    anna, clock = Person(1), SystemClock()

    async def run(events: list[DetectionEvent], gallery: InterruptibleGallery) -> list[AnyEvent]:
        opening = JournalingEventLog.open(
            memory_log(clock),
            tmp_path / "journal",
            max_bytes=1 << 20,
            retention_s={IDENTITIES: 3600.0},
            linger_s=0.001,
        )
        async with opening as log:
            shop = Fleet(
                SITE,
                log=log,
                gallery=gallery,
                clock=clock,
                model="test@1",
                graph=FAR_APART,
                mirrored=True,
            )
            reader = await Reader.on(log)
            shop.join()
            await log.append([record(event) for event in events])
            await reader.until(lambda r: r.tracks == len(events))
            while not await gallery.count():
                shop.check()
            await shop.kill_all()
        return reader.events()

    gallery = InterruptibleGallery(MemoryGallery(DIMENSION))
    await run(list(visit(DOOR, 0, [anna])), gallery)
    said = await run(list(visit(TILL, 2, [anna])), gallery)
    assert [e.rule for e in said if isinstance(e, AlertEvent)] == ["impossible_transition"]
