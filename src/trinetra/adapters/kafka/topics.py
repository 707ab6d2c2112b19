"""The topics of one site on a cluster: made once, then only compared with what they should be."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from trinetra.adapters.kafka.client import REQUEST_TIMEOUT_S, KafkaClient
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.producer import Producer
from trinetra.adapters.kafka.topic_reader import StateReader
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALL, SITE, Topic
from trinetra.ports import Clock, Record

_DEADLINE_S = 30.0
_CREATE_TIMEOUT_S = 10.0
_MOST_REPLICAS = 3
_CLAIM = "site"
_POLICY, _RETENTION, _SEGMENT_AGE = "cleanup.policy", "retention.ms", "segment.ms"
_HOUR_MS = 3_600_000
_CENTURY_MS = 100 * 365 * 24 * _HOUR_MS
_RETENTION_CHECK_S = 300.0
"""Kafka's default of ``log.retention.check.interval.ms``."""
_LONGEST_SEGMENT_MS = 6 * _HOUR_MS
_COMPACTED = {
    _POLICY: "compact",
    # The segment that is written to is never compacted: small ones are closed soon.
    "segment.bytes": str(16 << 20),
    "segment.ms": str(_HOUR_MS),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(6 * _HOUR_MS),
    # A reader of state is done in seconds; until then it must see what was deleted.
    "delete.retention.ms": str(_HOUR_MS),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which topics a site has on a cluster, and what stands before their names."""

    site_id: str
    namespace: str = ""
    topics: Sequence[Topic] = ALL

    @property
    def prefix(self) -> str:
        """What stands before the name of every topic, group and transaction."""
        return f"{self.namespace}." if self.namespace else ""

    def names(self) -> list[str]:
        """Return the topics' names on the cluster."""
        return [self.prefix + topic.name for topic in self.topics]


async def create_topics(
    connection: KafkaConnection, layout: Layout, clock: Clock, *, replication: int | None = None
) -> list[str]:
    """Make the topics that are missing and claim them for the site; return the names of the new.

    Topics that are there stay as they are, but for how long they keep records. ``replication`` is
    that of the new ones: 3 if not given, or as many as there are brokers. Raises ConfigurationError
    when another site has claimed them, or the cluster refuses; EventLogUnavailable.
    """
    async with KafkaClient.open(connection, clock) as client:
        return await asyncio.to_thread(_make, client, layout, replication)


async def longest_stays_s(
    connection: KafkaConnection, layout: Layout, clock: Clock
) -> dict[str, float]:
    """Return for how long each topic that forgets by age may hold a record's bytes, in seconds.

    By the name of the topic on the cluster; infinite if it never forgets. Raises
    EventLogUnavailable or ConfigurationError.
    """
    names = [layout.prefix + topic.name for topic in layout.topics if not topic.compacted]
    async with KafkaClient.open(connection, clock) as client:
        configs = await asyncio.to_thread(_all_configs, client, names)
        return {name: _longest_stay_s(config) for name, config in configs.items()}


async def find_faults(connection: KafkaConnection, layout: Layout, clock: Clock) -> list[str]:
    """Return what is wrong with the topics, each with what to do about it; [] if nothing is.

    How long records are kept is among it; services run with any retention. Raises
    EventLogUnavailable, or ConfigurationError when the cluster does not let us in.
    """
    async with KafkaClient.open(connection, clock) as client:
        faults = await asyncio.to_thread(_faults, client, layout)
        return faults + await asyncio.to_thread(_faults_of_retention, client, layout)


async def require_topics(client: KafkaClient, layout: Layout) -> None:
    """Return if the topics are as they should be. Raises ConfigurationError with what is not."""
    if faults := await asyncio.to_thread(_faults, client, layout):
        told = "\n  ".join(faults)
        raise ConfigurationError(f"Kafka at {client.servers} cannot be used:\n  {told}")


def _make(client: KafkaClient, layout: Layout, replication: int | None) -> list[str]:
    existing = _partitions(client)
    if set(layout.names()) & existing.keys() and SITE in layout.topics:
        _refuse_other_site(client, layout, existing)
    missing = [t for t in layout.topics if layout.prefix + t.name not in existing]
    _create(client, layout.prefix, missing, replication)
    _keep_as_long(client, layout)
    if SITE in layout.topics:
        producer = Producer(client, layout.prefix)
        producer.append([Record(SITE, _CLAIM, layout.site_id.encode())])
    return [layout.prefix + topic.name for topic in missing]


def _faults(client: KafkaClient, layout: Layout) -> list[str]:
    existing = _partitions(client)
    present = [name for name in layout.names() if name in existing]
    policies = _configs(client, present, _POLICY)
    faults = list(_faults_of_topics(layout, existing, policies))
    if SITE in layout.topics and layout.prefix + SITE.name in existing:
        faults += _faults_of_claim(_owner(client, layout), layout)
    return faults


def _faults_of_topics(
    layout: Layout, existing: dict[str, int], policies: dict[str, str]
) -> Iterator[str]:
    for topic, name in zip(layout.topics, layout.names(), strict=True):
        if name not in existing:
            yield f"topic {name} is missing: run trinetra topics create --site SITE"
            continue
        if existing[name] != topic.partitions:
            yield (
                f"topic {name} has {existing[name]} partitions and needs {topic.partitions}: keys "
                "would move to other partitions, so delete it, or set another TRINETRA_NAMESPACE, "
                "and run trinetra topics create --site SITE"
            )
        wanted = "compact" if topic.compacted else "delete"
        if policies[name] != wanted:
            yield (
                f"topic {name} has {_POLICY}={policies[name]} and needs {wanted}: set it with "
                f"kafka-configs.sh --alter --topic {name} --add-config {_POLICY}={wanted}"
            )


def _keep_as_long(client: KafkaClient, layout: Layout) -> None:
    """Let topics keep their records for as long as the layout says."""
    resources = [
        ConfigResource(
            ResourceType.TOPIC, name, incremental_configs=[_set(_RETENTION, ms), _set_segment(ms)]
        )
        for name, (_, ms) in _other_retention(client, layout).items()
    ]
    if resources:
        with client.translating("setting how long topics keep records"):
            answers = client.admin.incremental_alter_configs(
                resources, request_timeout=REQUEST_TIMEOUT_S
            )
            for answer in answers.values():
                answer.result()


def _set(key: str, value: str) -> ConfigEntry:
    return ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)


def _set_segment(kept_ms: str) -> ConfigEntry:
    return _set(_SEGMENT_AGE, _segment_ms(kept_ms))


def _other_retention(client: KafkaClient, layout: Layout) -> dict[str, tuple[str, str]]:
    """Return topics with another retention than the layout's: theirs, and what it should be."""
    existing = _partitions(client)
    wanted = {
        layout.prefix + topic.name: _retention_ms(topic)
        for topic in layout.topics
        if not topic.compacted and layout.prefix + topic.name in existing
    }
    kept = _configs(client, list(wanted), _RETENTION)
    return {name: (kept[name], ms) for name, ms in wanted.items() if kept[name] != ms}


def _faults_of_retention(client: KafkaClient, layout: Layout) -> list[str]:
    return [
        f"topic {name} has {_RETENTION}={kept_ms} and the site file says {ms}: run "
        "trinetra topics create --site SITE"
        for name, (kept_ms, ms) in _other_retention(client, layout).items()
    ]


def _faults_of_claim(owner: str | None, layout: Layout) -> Iterator[str]:
    if owner is None:
        yield f"{layout.prefix}{SITE.name} says of no site: run trinetra topics create --site SITE"
    elif owner != layout.site_id:
        yield _other_site(owner, layout)


def _other_site(owner: str, layout: Layout) -> str:
    return (
        f"these topics belong to site {owner!r}, and this is site {layout.site_id!r}: give each "
        "site on the cluster a TRINETRA_NAMESPACE of its own"
    )


def _refuse_other_site(client: KafkaClient, layout: Layout, existing: Mapping[str, int]) -> None:
    if layout.prefix + SITE.name in existing:
        owner = _owner(client, layout)
        if owner not in {None, layout.site_id}:
            raise ConfigurationError(_other_site(str(owner), layout))


def _owner(client: KafkaClient, layout: Layout) -> str | None:
    reader = StateReader(client)
    try:
        claims = reader.latest((layout.prefix + SITE.name, 0), _DEADLINE_S)
    finally:
        reader.close()
    return claims[_CLAIM].decode() if _CLAIM in claims else None


def _partitions(client: KafkaClient) -> dict[str, int]:
    """Return every topic of the cluster with its number of partitions.

    By name, one might create what one asks for.
    """
    with client.translating("asking for topics"):
        topics = client.admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _configs(client: KafkaClient, names: Sequence[str], key: str) -> dict[str, str]:
    """Return what one of their settings is for each of these topics."""
    return {name: values[key] for name, values in _all_configs(client, names).items()}


def _all_configs(client: KafkaClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of each of these topics."""

    def attempt() -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = client.admin.describe_configs(resources, request_timeout=REQUEST_TIMEOUT_S)
        return {
            topic.name: {key: entry.value for key, entry in answer.result().items()}
            for topic, answer in answers.items()
        }

    return client.until_done(attempt, _DEADLINE_S, "asking for settings") if names else {}


def _longest_stay_s(config: Mapping[str, str]) -> float:
    """Return for how long a topic with these settings may hold a record's bytes, in seconds.

    Kafka deletes whole segments. One is closed when it is ``segment.ms`` old, counts as old as its
    latest timestamp, which may lie ahead of the broker's clock by a limit, and is looked at, then
    deleted, with a delay each.
    """
    parts = (_RETENTION, _SEGMENT_AGE, "message.timestamp.after.max.ms", "file.delete.delay.ms")
    parts_ms = [int(config[part]) for part in parts]
    is_for_good = min(parts_ms) < 0 or max(parts_ms) > _CENTURY_MS
    return inf if is_for_good else sum(parts_ms) / 1000 + _RETENTION_CHECK_S


def _create(
    client: KafkaClient, prefix: str, topics: Sequence[Topic], replication: int | None
) -> None:
    replicas = replication or min(_MOST_REPLICAS, client.brokers())
    wanted = [
        NewTopic(prefix + t.name, t.partitions, replicas, config=_settings(t, replicas))
        for t in topics
    ]

    def attempt() -> bool:
        answers = client.admin.create_topics(
            wanted, operation_timeout=_CREATE_TIMEOUT_S, request_timeout=_CREATE_TIMEOUT_S
        )
        for name, answer in answers.items():
            try:
                answer.result()
            except KafkaException as cause:
                _raise_unless_passing(cause, client, name)
        return True

    if wanted:
        client.until_done(attempt, _DEADLINE_S, "creating topics")
        names = {topic.topic for topic in wanted}
        known = partial(_known, client, names)
        client.until_done(known, _DEADLINE_S, "waiting for topics to be known")


def _raise_unless_passing(cause: KafkaException, client: KafkaClient, name: str) -> None:
    error = cause.args[0]
    if error.code() == KafkaError.NOT_CONTROLLER or error.retriable():
        raise cause
    if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
        raise ConfigurationError(
            f"Kafka at {client.servers} refuses to create topic {name}: {error.str()}"
        ) from cause


def _known(client: KafkaClient, names: set[str]) -> bool | None:
    """Return True once a broker knows the topics: each learns of them in its own time."""
    return names <= _partitions(client).keys() or None


def _settings(topic: Topic, replicas: int) -> dict[str, str]:
    common = {"compression.type": "producer", "min.insync.replicas": str(max(1, replicas - 1))}
    if topic.compacted:
        return common | _COMPACTED
    # A segment is deleted as a whole, once the last record in it is old enough.
    kept_ms = _retention_ms(topic)
    return common | {
        _POLICY: "delete",
        _RETENTION: kept_ms,
        _SEGMENT_AGE: _segment_ms(kept_ms),
    }


def _segment_ms(kept_ms: str) -> str:
    return str(min(int(kept_ms), _LONGEST_SEGMENT_MS))


def _retention_ms(topic: Topic) -> str:
    return str(int(topic.retention_s * 1000))
