"""Alerts on a real MQTT broker, as Home Assistant finds and shows them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from tests.conftest import unavailable
from tests.flows.alerting import Shop, alerting, passing, seen, site_of, waiting
from tests.servers.mosquitto import PASSWORD, USER, MosquittoServer, find_mosquitto

from trinetra.adapters.clock import ManualClock, SystemClock
from trinetra.adapters.notify import mqtt
from trinetra.devservers.process import ServerMissing
from trinetra.site import Site

ENVIRON = {"MQTT_USER": USER, "MQTT_PASSWORD": PASSWORD}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    try:
        program = find_mosquitto()
    except ServerMissing as reason:
        unavailable(str(reason), "TRINETRA_TEST_REQUIRE_SERVERS")
    with MosquittoServer(tmp_path, program) as server:
        yield server


def site_on(broker: MosquittoServer) -> Site:
    return site_of(
        "alerts:\n"
        f"  channels: [{{id: home, mqtt: 'mqtt://127.0.0.1:{broker.port}', "
        "username_env: MQTT_USER, password_env: MQTT_PASSWORD}]\n"
        "  recipients: [{id: home, channels: [home]}]\n"
    )


@dataclass
class Listener:
    """What a broker has told: the latest message of each topic, and all of them in order."""

    latest: dict[str, bytes] = field(default_factory=dict)
    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, topic: str, payload: bytes | None = None) -> bytes:
        while topic not in self.latest or payload not in {None, self.latest[topic]}:
            self.news.clear()
            await self.news.wait()
        return self.latest[topic]


@asynccontextmanager
async def listening(broker: MosquittoServer) -> AsyncIterator[Listener]:
    listener = Listener()

    async def listen() -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1", broker.port, username=USER, password=PASSWORD
                ) as client:
                    await client.subscribe("#", qos=1)
                    async for message in client.messages:
                        listener.latest[str(message.topic)] = bytes(message.payload)
                        listener.heard.append(
                            (str(message.topic), bytes(message.payload), message.retain)
                        )
                        listener.news.set()
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)  # the broker is starting

    task = asyncio.create_task(listen())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_home_assistant_finds_the_shop_and_hears_of_alerts(
    broker: MosquittoServer, tmp_path: Path
) -> None:
    async with (
        listening(broker) as listener,
        alerting(site_on(broker), tmp_path, SystemClock(), environ=ENVIRON) as shop,
    ):
        await listener.until("trinetra/shop/status", b"online")
        found = json.loads(
            await listener.until("homeassistant/binary_sensor/trinetra_shop/queue_length/config")
        )
        event = json.loads(await listener.until("homeassistant/event/trinetra_shop/alert/config"))
        await shop.tell(seen(7))
        told = json.loads(await listener.until(event["state_topic"]))

    assert listener.latest[found["state_topic"]] == b"OFF"
    assert found["availability_topic"] == event["availability_topic"] == "trinetra/shop/status"
    assert told["event_type"] in event["event_types"]
    assert told["rule"] == "watchlist"
    assert "guest-7" not in json.dumps(told)


async def test_a_condition_is_a_retained_state_until_it_is_over(
    broker: MosquittoServer, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    state = "trinetra/shop/queue_length/state"
    async with alerting(site_on(broker), tmp_path, clock, environ=ENVIRON) as shop:
        await shop.tell(waiting(7, clock.now()))
        await _until_told(shop, clock, 1)
        async with listening(broker) as late:  # as Home Assistant after a restart
            assert await late.until(state) == b"ON"
            attributes = json.loads(await late.until("trinetra/shop/queue_length/attributes"))
            await shop.tell(waiting(1, clock.now()))
            await _until_told(shop, clock, 2)
            assert await late.until(state, b"OFF") == b"OFF"

    assert attributes["cameras"] == ["till"]
    assert attributes["advice"]


async def _until_told(shop: Shop, clock: ManualClock, count: int) -> None:
    while shop.service.dispatcher.lanes[0].sent < count:
        await passing(clock, 0.5)


async def test_a_broker_that_lost_its_memory_is_told_everything_again(
    broker: MosquittoServer, tmp_path: Path
) -> None:
    async with alerting(site_on(broker), tmp_path, SystemClock(), environ=ENVIRON) as shop:
        async with listening(broker) as before:
            await before.until("trinetra/shop/status", b"online")
        broker.stop()
        await shop.tell(seen(1))
        lane = shop.service.dispatcher.lanes[0]
        while lane.problem is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
        broker.start()
        async with listening(broker) as after:
            await after.until("trinetra/shop/status", b"online")
            await after.until("homeassistant/event/trinetra_shop/alert/config")
            while not lane.sent:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)

    assert lane.sent == 1


async def test_a_service_that_ends_or_dies_is_unavailable(
    broker: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_KEEPALIVE_S", 2)
    monkeypatch.setattr(mqtt, "_ALIVE_EVERY_S", 1.0)
    async with listening(broker) as listener:
        async with alerting(site_on(broker), tmp_path, SystemClock(), environ=ENVIRON) as shop:
            await listener.until("trinetra/shop/status", b"online")
            channel = shop.service.dispatcher.lanes[0]._channel
            channel._client._client.socket().close()  # as if the process had died
            await listener.until("trinetra/shop/status", b"offline")
            await listener.until("trinetra/shop/status", b"online")
        await listener.until("trinetra/shop/status", b"offline")


async def test_a_wrong_password_is_told(broker: MosquittoServer, tmp_path: Path) -> None:
    wrong = ENVIRON | {"MQTT_PASSWORD": "hunter2"}
    async with alerting(site_on(broker), tmp_path, SystemClock(), environ=wrong) as shop:
        lane = shop.service.dispatcher.lanes[0]
        while lane.problem is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
        problem = lane.problem

    assert "check the variables of user and password" in problem
    assert "hunter2" not in problem
