"""One insight engine as a process of its own, on Kafka and SQLite, for tests that kill it."""

import asyncio
import sys

from tests.servers.kafka_logs import SITE_ID
from tests.unit.insights.strolls import CAMERAS, PLAN
from tests.unit.insights.walks import SITE

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.event_log import KafkaConnection, KafkaEventLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.hosting import stop_on_signals
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.streaming.runner import RunnerPolicy


async def main(servers: str, namespace: str, instance: str, store_url: str) -> None:
    """Work until SIGTERM."""
    clock = SystemClock()
    with stop_on_signals() as stop:
        async with (
            KafkaEventLog.open(
                KafkaConnection(servers),
                instance=instance,
                site_id=SITE_ID,
                clock=clock,
                namespace=namespace,
            ) as log,
            SqlInsightStore.open(store_url) as store,
        ):
            site = SiteInsights(SITE, dict.fromkeys(CAMERAS, PLAN))
            policy = RunnerPolicy(max_records=100, linger_s=0.05, drains_at_stop=False)
            engine = insight_engine(log, store, clock, site, policy=policy)
            await engine.run(stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
