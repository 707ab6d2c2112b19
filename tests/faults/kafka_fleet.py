"""A fleet of resolvers on a real Kafka."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from tests.faults.resolvers import POLICY, Fleet
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.events.topics import ALL
from trinetra.site import Site
from trinetra.values import SiteId
from trinetra.wiring.site_graph import site_graph


class StillClock(SystemClock):
    """Real time to sleep by, but no camera ever counts as silent: rebalances take seconds."""

    def monotonic(self) -> float:
        return 0.0


@asynccontextmanager
async def kafka_fleet(servers: str, site: Site, *, mirrored: bool = False) -> AsyncIterator[Fleet]:
    """Yield a fleet without members, with topics of its own and a way to them for each of three."""
    namespace = uuid4().hex[:12]
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(
                kafka_log(servers, ALL, namespace=namespace, instance=f"member-{number}")
            )
            for number in range(4)
        ]
        yield Fleet(
            SiteId(site.site_id),
            log=doors[0],
            doors=doors[1:],
            graph=site_graph(site),
            clock=StillClock(),
            policy=POLICY,
            mirrored=mirrored,
        )
