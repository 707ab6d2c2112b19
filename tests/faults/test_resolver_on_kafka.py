"""The same promise on a real Kafka: members come and go, and together say what one says."""

from contextlib import AsyncExitStack
from random import Random
from uuid import uuid4

import pytest
from tests.faults.resolvers import POLICY, Fleet, play, twin_stream
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent
from trinetra.events.topics import ALL
from trinetra.twin.shop import built_in_shop
from trinetra.values import SiteId
from trinetra.wiring import plans
from trinetra.wiring.simulation import site_of

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
SITE = site_of(built_in_shop())
STREAM = twin_stream(3, shoppers_per_hour=240.0, hours=0.02)
TICK_US = 3_000_000


class StillClock(SystemClock):
    """Real time to sleep by, but no camera ever counts as silent: rebalances take seconds."""

    def monotonic(self) -> float:
        return 0.0


def said_ids(said: dict[str, list[bytes]]) -> dict[str, list[str]]:
    return {place: [decode(value).event_id for value in values] for place, values in said.items()}


async def test_members_that_come_and_go_on_kafka_say_what_one_says(kafka_servers: str) -> None:
    alone = Fleet(SiteId(SITE.site_id), graph=plans.site_graph(SITE))
    expected = await play(alone, STREAM, tick_us=TICK_US)
    namespace = uuid4().hex[:12]
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(
                kafka_log(kafka_servers, ALL, namespace=namespace, instance=f"member-{number}")
            )
            for number in range(4)
        ]
        fleet = Fleet(
            SiteId(SITE.site_id),
            log=doors[0],
            doors=doors[1:],
            graph=plans.site_graph(SITE),
            clock=StillClock(),
            policy=POLICY,
        )
        dice = Random(7)  # noqa: S311  not a secret
        reader = await play(
            fleet, STREAM, dice, kill_share=0.15, most_kills=1, tick_us=TICK_US, wait_s=0.05
        )
        await reader.subscription.close()
    assert fleet.killed >= 5
    assert said_ids(reader.said) == said_ids(expected.said)
    assert any(isinstance(e, IdentityEvent) and e.status == "new" for e in reader.events())
