"""An alert service as a process of its own on Kafka: ``alert_member.py SERVERS FOLDER URL TOPICS``.

It runs until it is killed or terminated.
"""

import asyncio
import signal
import sys

from tests.flows.alerting import webhook_site

from trinetra.adapters.clock import SystemClock
from trinetra.settings import Settings
from trinetra.wiring.alerts import open_alert_service
from trinetra.wiring.assembly import Member
from trinetra.wiring.connections import open_log


async def main(servers: str, folder: str, url: str, namespace: str) -> None:
    settings = Settings(event_log="kafka", kafka_servers=servers, namespace=namespace).with_store(
        f"sqlite:///{folder}/insights.db"
    )
    site, clock = webhook_site(url), SystemClock()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with open_log(site, settings, clock) as log:
        member = Member.of(settings)
        opening = open_alert_service(log, site, settings, {}, clock, member=member)
        async with opening as (service, _):
            sys.stdout.write("running\n")
            sys.stdout.flush()
            await service.run(stopping)


asyncio.run(main(*sys.argv[1:]))
