"""An alert service on Kafka that is killed at random moments: nothing lost, each id once known."""

import asyncio
import os
import secrets
import sys
from pathlib import Path

from tests.flows.alerting import seen, webhook_site
from tests.servers.webhook_receiver import WebhookReceiver

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.kafka.topics import Layout, create_topics
from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.events.codec import encode
from trinetra.events.topics import ALERTS
from trinetra.ports import Record
from trinetra.settings import Settings
from trinetra.wiring.connections import open_log
from trinetra.wiring.places import kafka_connection
from trinetra.wiring.topics import site_topics

ROOT = Path(__file__).resolve().parents[2]
COUNT = 60


async def test_an_alert_service_that_is_killed_loses_nothing(
    kafka_servers: str, tmp_path: Path
) -> None:
    namespace = f"alert-{secrets.token_hex(4)}"
    settings = Settings(event_log="kafka", kafka_servers=kafka_servers, namespace=namespace)
    clock = SystemClock()
    async with WebhookReceiver() as receiver:
        site = webhook_site(receiver.url)
        layout = Layout(site.site_id, namespace, site_topics(site))
        await create_topics(kafka_connection(settings), layout, clock, replication=1)
        args = (kafka_servers, str(tmp_path), receiver.url, namespace)
        async with open_log(site, settings, clock) as log:
            member = await _start(args)
            for number in range(COUNT):
                await log.append([Record(ALERTS, "till", encode(seen(number)))])
                if number % 20 == 19:
                    await receiver.wait_for(number - 15)  # it is in the middle of its work
                    member.kill()
                    await member.wait()
                    member = await _start(args)
            while len(set(receiver.ids)) < COUNT:  # noqa: ASYNC110 - repetitions count only once
                await asyncio.sleep(0.1)
            member.terminate()
            await member.wait()

    async with SqlAlertStore.open(f"sqlite:///{tmp_path}/insights.db") as store:
        page = await store.notices(None, None, 2 * COUNT, None)
        states = [d.state for n in page.notices for d in await store.deliveries(n.alert_id) or []]
    assert len(page.notices) == COUNT
    assert states == ["sent"] * COUNT
    assert len(receiver.ids) - COUNT <= 3  # at most the one in flight at each kill
    first = {p.message_id: p.document["data"]["raised_at"] for p in reversed(receiver.posted)}
    times = [first[each] for each in dict.fromkeys(receiver.ids)]
    assert times == sorted(times)


async def _start(args: tuple[str, ...]) -> asyncio.subprocess.Process:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    member = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("alert_member.py")),
        *args,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    assert member.stdout is not None
    assert await member.stdout.readline() == b"running\n"
    return member
