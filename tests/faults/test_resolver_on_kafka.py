"""The same guarantee on a real Kafka: changing members produce the output of a single one."""

from random import Random

import pytest
from tests.faults.kafka_fleet import kafka_fleet
from tests.faults.resolvers import Fleet, play, twin_stream

from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent
from trinetra.twin.shop import built_in_shop
from trinetra.values import SiteId
from trinetra.wiring.simulation import site_of
from trinetra.wiring.site_graph import site_graph

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
SITE = site_of(built_in_shop())
STREAM = twin_stream(3, shoppers_per_hour=240.0, hours=0.02)
TICK_US = 3_000_000


def said_ids(said: dict[str, list[bytes]]) -> dict[str, list[str]]:
    return {place: [decode(value).event_id for value in values] for place, values in said.items()}


async def test_members_that_come_and_go_on_kafka_say_what_one_says(kafka_servers: str) -> None:
    alone = Fleet(SiteId(SITE.site_id), graph=site_graph(SITE))
    expected = await play(alone, STREAM, tick_us=TICK_US)
    async with kafka_fleet(kafka_servers, SITE) as fleet:
        dice = Random(7)
        reader = await play(
            fleet, STREAM, dice, kill_share=0.15, most_kills=1, tick_us=TICK_US, wait_s=0.05
        )
        await reader.subscription.close()
    assert fleet.killed >= 5
    assert said_ids(reader.said) == said_ids(expected.said)
    assert any(isinstance(e, IdentityEvent) and e.status == "new" for e in reader.events())
