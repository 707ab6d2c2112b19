"""MQTT with Home Assistant's discovery.

Home Assistant finds one device per shop: an event entity with every alert, and a binary sensor per
rule about a lasting condition. Discovery, availability and states are retained, and are published
again at every connection: a broker that lost its memory, or a Home Assistant that was installed
later, shows them without further ado. The last will marks the device as unavailable.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiomqtt
import msgspec

from trinetra import __version__
from trinetra.adapters.notify.people import Naming
from trinetra.errors import DeliveryFailed
from trinetra.events.alert_messages import document_of
from trinetra.events.alerts import RULES, Notice, Outgoing, RuleName
from trinetra.ports import Clock

LASTING_RULES: Mapping[RuleName, str] = {
    "queue_length": "Long queue",
    "occupancy": "Too many people",
    "after_hours": "Person in the closed shop",
    "camera_offline": "Camera offline",
    "camera_frozen": "Camera frozen",
    "camera_covered": "Camera covered",
    "camera_moved": "Camera moved",
    "frames_dropped": "Pictures are lost",
    "latency": "Results are late",
    "index_unavailable": "Face index unavailable",
}
"""Rules that are binary sensors, by their names there."""
_ONLINE, _OFFLINE = "online", "offline"
_TIMEOUT_S = 5.0
_KEEPALIVE_S = 30
_ALIVE_EVERY_S = 30.0
_AT_LEAST_ONCE = 1
Standing = Callable[[], Awaitable[Sequence[Notice]]]
"""Returns the notices that are not closed."""


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """A broker, and the topics below which the shop's state and Home Assistant's discovery lie."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    prefix: str = "trinetra"
    discovery: str = "homeassistant"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one shop."""

    config: MqttConfig
    site_id: str

    @property
    def base(self) -> str:
        """Topic below which the shop's topics lie."""
        return f"{self.config.prefix}/{self.site_id}"

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained."""
        return f"{self.base}/status"

    @property
    def event(self) -> str:
        """Every alert, not retained."""
        return f"{self.base}/alert"

    def state(self, rule: str) -> str:
        """``ON`` or ``OFF`` of a rule, retained."""
        return f"{self.base}/{rule}/state"

    def attributes(self, rule: str) -> str:
        """What a rule's state is about, retained."""
        return f"{self.base}/{rule}/attributes"

    def discovery(self, component: str, entity: str) -> str:
        """Topic of an entity's discovery, retained."""
        return f"{self.config.discovery}/{component}/trinetra_{self.site_id}/{entity}/config"


def discovery_of(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the documents by which Home Assistant finds the entities of a shop, by topic."""
    site = topics.site_id
    common: dict[str, Any] = {
        "availability_topic": topics.availability,
        "device": {
            "identifiers": [f"trinetra_{site}"],
            "name": f"TRINETRA {site}",
            "manufacturer": "TRINETRA",
            "sw_version": __version__,
        },
        "origin": {"name": "trinetra", "sw": __version__},
    }
    entities = {
        topics.discovery("event", "alert"): {
            **common,
            "name": "Alert",
            "unique_id": f"trinetra_{site}_alert",
            "state_topic": topics.event,
            "event_types": list(RULES),
            "qos": _AT_LEAST_ONCE,
        }
    }
    for rule, name in LASTING_RULES.items():
        entities[topics.discovery("binary_sensor", rule)] = {
            **common,
            "name": name,
            "unique_id": f"trinetra_{site}_{rule}",
            "device_class": "problem",
            "state_topic": topics.state(rule),
            "json_attributes_topic": topics.attributes(rule),
            "qos": _AT_LEAST_ONCE,
        }
    return entities


class MqttChannel:
    """An AlertChannel on a broker. A message may be repeated: its ``id`` tells."""

    def __init__(
        self, config: MqttConfig, site_id: str, standing: Standing, clock: Clock, naming: Naming
    ) -> None:
        self._config = config
        self._topics = Topics(config, site_id)
        self._standing = standing
        self._clock = clock
        self._naming = naming
        self._client: aiomqtt.Client | None = None
        self._alive_at_s = 0.0

    async def tend(self) -> None:
        """Connect and publish everything retained, or tell the broker that this is alive."""
        await self._guarded(self._tend)

    async def send(self, outgoing: Outgoing) -> None:
        """Publish an alert, and the state of its rule. Raises DeliveryFailed."""
        document = document_of(
            outgoing,
            tells_people=self._naming.tells_people,
            name=await self._naming.name_of(outgoing.notice.person),
        )
        standing = await self._standing()

        async def publish() -> None:
            await self._tend()
            notice = outgoing.notice
            if outgoing.delivery.step == "raised":
                event = {"event_type": notice.rule, "id": document["id"], **document["data"]}
                await self._publish(self._topics.event, msgspec.json.encode(event), retain=False)
            if notice.rule in LASTING_RULES:
                await self._publish_states(standing, [notice.rule])

        await self._guarded(publish)

    async def close(self) -> None:
        """Mark the shop as unavailable and disconnect; idempotent."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(aiomqtt.MqttError):  # the last will says the same
            await client.publish(
                self._topics.availability, _OFFLINE, qos=_AT_LEAST_ONCE, retain=True
            )
        await _disconnect(client)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (aiomqtt.MqttError, OSError, ValueError) as cause:
            await self._drop()
            raise DeliveryFailed(f"{self._place}: {cause}{_hint(str(cause))}") from cause

    @property
    def _place(self) -> str:
        return f"the MQTT broker at {self._config.host}:{self._config.port}"

    async def _tend(self) -> None:
        if self._client is None:
            self._client = await self._connect()
            for topic, document in discovery_of(self._topics).items():
                await self._publish(topic, msgspec.json.encode(document), retain=True)
            await self._publish_states(await self._standing(), LASTING_RULES)
        elif self._clock.monotonic() - self._alive_at_s < _ALIVE_EVERY_S:
            return
        await self._publish(self._topics.availability, _ONLINE, retain=True)
        self._alive_at_s = self._clock.monotonic()

    async def _connect(self) -> aiomqtt.Client:
        config = self._config
        will = aiomqtt.Will(self._topics.availability, _OFFLINE, qos=_AT_LEAST_ONCE, retain=True)
        client = aiomqtt.Client(
            config.host,
            config.port,
            username=config.username,
            password=config.password,
            tls_context=ssl.create_default_context() if config.tls else None,
            will=will,
            timeout=_TIMEOUT_S,
            keepalive=_KEEPALIVE_S,
        )
        await client.__aenter__()  # it stays open over many calls
        return client

    async def _publish_states(self, standing: Sequence[Notice], rules: Iterable[str]) -> None:
        for rule in rules:
            active = [n for n in standing if n.rule == rule and n.lasting]
            attributes = {
                "count": len(active),
                "cameras": sorted({n.camera_id for n in active if n.camera_id}),
                "message": active[0].message if active else "",
                "advice": active[0].advice if active else "",
            }
            await self._publish(
                self._topics.attributes(rule), msgspec.json.encode(attributes), retain=True
            )
            state = b"ON" if active else b"OFF"
            await self._publish(self._topics.state(rule), state, retain=True)

    async def _publish(self, topic: str, payload: bytes | str, *, retain: bool) -> None:
        if self._client is None:
            raise aiomqtt.MqttError("not connected")
        await self._client.publish(topic, payload, qos=_AT_LEAST_ONCE, retain=retain)

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _disconnect(client)


async def _disconnect(client: aiomqtt.Client) -> None:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await client.__aexit__(None, None, None)
    except (aiomqtt.MqttError, TimeoutError):
        pass  # it was not connected any more


def _hint(problem: str) -> str:
    lowered = problem.lower()
    if "authori" in lowered or "user name" in lowered:
        return "; check the variables of user and password"
    if "certificate" in lowered:
        return "; the certificate is not trusted by this machine"
    return ""
