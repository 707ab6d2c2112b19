"""The topics of one site on a cluster: made once, then only compared with what they should be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest

from trinetra.adapters.kafka.client import KafkaClient, RetriableError
from trinetra.adapters.kafka.compacted_state import read_latest
from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.adapters.kafka.producer import Producer
from trinetra.adapters.kafka.protocol import AlterTopicsRequest
from trinetra.errors import ConfigurationError
from trinetra.events.topics import ALL, SITE, Topic
from trinetra.ports import Clock, Record

_DEADLINE_S = 30.0
_BROKER_TIMEOUT_MS = 10_000
_MOST_REPLICAS = 3
_CLAIM = "site"
_TOPIC_RESOURCE = 2
_POLICY, _RETENTION, _SEGMENT_AGE = "cleanup.policy", "retention.ms", "segment.ms"
_HOUR_MS = 3_600_000
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


# By name, one might create what one asks for.
_EVERY_TOPIC = MetadataRequest(None, allow_auto_topic_creation=False)


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
    async with (
        KafkaClient.open(connection, clock) as brokers,
        brokers.within(_DEADLINE_S, "creating topics"),
    ):
        existing = await _partitions(brokers)
        if set(layout.names()) & existing.keys() and SITE in layout.topics:
            await _refuse_other_site(brokers, connection, layout, existing)
        missing = [t for t in layout.topics if layout.prefix + t.name not in existing]
        await _create(brokers, layout.prefix, missing, replication)
        await _keep_as_long(brokers, layout)
        if SITE in layout.topics:
            producer = Producer(brokers, layout.prefix)
            await producer.start()
            await producer.send([Record(SITE, _CLAIM, layout.site_id.encode())])
    return [layout.prefix + topic.name for topic in missing]


async def find_faults(connection: KafkaConnection, layout: Layout, clock: Clock) -> list[str]:
    """Return what is wrong with the topics, each with what to do about it; [] if nothing is.

    How long records are kept is among it; services run with any retention. Raises
    EventLogUnavailable, or ConfigurationError when the cluster does not let us in.
    """
    async with KafkaClient.open(connection, clock) as brokers:
        faults = await _faults(brokers, connection, layout)
        async with brokers.within(_DEADLINE_S, "checking how long topics keep records"):
            return faults + await _faults_of_retention(brokers, layout)


async def require_topics(brokers: KafkaClient, connection: KafkaConnection, layout: Layout) -> None:
    """Return if the topics are as they should be. Raises ConfigurationError with what is not."""
    if faults := await _faults(brokers, connection, layout):
        told = "\n  ".join(faults)
        raise ConfigurationError(f"Kafka at {connection.servers} cannot be used:\n  {told}")


async def _faults(brokers: KafkaClient, connection: KafkaConnection, layout: Layout) -> list[str]:
    async with brokers.within(_DEADLINE_S, "checking topics"):
        existing = await _partitions(brokers)
        present = [name for name in layout.names() if name in existing]
        policies = await _configs(brokers, present, _POLICY)
        faults = list(_faults_of_topics(layout, existing, policies))
        if SITE in layout.topics and layout.prefix + SITE.name in existing:
            owner = await _owner(brokers, connection, layout)
            faults += _faults_of_claim(owner, layout)
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


async def _keep_as_long(brokers: KafkaClient, layout: Layout) -> None:
    """Let topics keep their records for as long as the layout says."""
    wrong = {
        name: {_RETENTION: ms, _SEGMENT_AGE: _segment_ms(ms)}
        for name, (_, ms) in (await _other_retention(brokers, layout)).items()
    }

    async def attempt() -> None:
        answer = await brokers.ask_controller(AlterTopicsRequest(wrong))
        for code, told, _, name in answer.resources:
            brokers.check(code, f"retention of {name}: {told}")

    if wrong:
        await brokers.until_done(attempt)


async def _other_retention(brokers: KafkaClient, layout: Layout) -> dict[str, tuple[str, str]]:
    """Return topics with another retention than the layout's: theirs, and what it should be."""
    existing = await _partitions(brokers)
    wanted = {
        layout.prefix + topic.name: _retention_ms(topic)
        for topic in layout.topics
        if not topic.compacted and layout.prefix + topic.name in existing
    }
    kept = await _configs(brokers, list(wanted), _RETENTION)
    return {name: (kept[name], ms) for name, ms in wanted.items() if kept[name] != ms}


async def _faults_of_retention(brokers: KafkaClient, layout: Layout) -> list[str]:
    return [
        f"topic {name} has {_RETENTION}={kept_ms} and the site file says {ms}: run "
        "trinetra topics create --site SITE"
        for name, (kept_ms, ms) in (await _other_retention(brokers, layout)).items()
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


async def _refuse_other_site(
    brokers: KafkaClient, connection: KafkaConnection, layout: Layout, existing: dict[str, int]
) -> None:
    if layout.prefix + SITE.name in existing:
        owner = await _owner(brokers, connection, layout)
        if owner not in {None, layout.site_id}:
            raise ConfigurationError(_other_site(str(owner), layout))


async def _owner(brokers: KafkaClient, connection: KafkaConnection, layout: Layout) -> str | None:
    claims = await read_latest(brokers, connection, (layout.prefix + SITE.name, 0))
    return claims[_CLAIM].decode() if _CLAIM in claims else None


async def _partitions(brokers: KafkaClient) -> dict[str, int]:
    """Return every topic of the cluster with its number of partitions."""

    async def attempt() -> dict[str, int]:
        return _counts(await brokers.ask_any(_EVERY_TOPIC))

    return await brokers.until_done(attempt)


def _counts(metadata: Any) -> dict[str, int]:
    return {name: len(partitions) for code, name, _, partitions in metadata.topics if code == 0}


async def _configs(brokers: KafkaClient, names: Sequence[str], key: str) -> dict[str, str]:
    """Return what one of their settings is for each of these topics."""

    async def attempt() -> dict[str, str]:
        wanted = [(_TOPIC_RESOURCE, name, [key]) for name in names]
        answer = await brokers.ask_any(DescribeConfigsRequest(wanted, include_synonyms=False))
        values = {}
        for code, _, _, name, entries in answer.resources:
            brokers.check(code, f"settings of {name}")
            values[name] = dict(entry[:2] for entry in entries)[key]
        return values

    return await brokers.until_done(attempt) if names else {}


async def _create(
    brokers: KafkaClient, prefix: str, topics: Sequence[Topic], replication: int | None
) -> None:
    replicas = replication or min(_MOST_REPLICAS, len(brokers.nodes()))
    anywhere: list[int] = []
    wanted = [
        (prefix + t.name, t.partitions, replicas, anywhere, list(_settings(t, replicas).items()))
        for t in topics
    ]

    async def attempt() -> None:
        request = CreateTopicsRequest(wanted, _BROKER_TIMEOUT_MS, validate_only=False)
        answer = await brokers.ask_controller(request)
        for name, code, told in answer.topic_errors:
            if code == kafka.NotControllerError.errno:
                raise RetriableError(f"topic {name}: {told}")
            if code not in {0, kafka.TopicAlreadyExistsError.errno}:
                raise ConfigurationError(
                    f"Kafka at {brokers.servers} refuses to create topic {name}: "
                    f"{told or kafka.for_code(code).__name__}"
                )

    if wanted:
        await brokers.until_done(attempt)
        await _known_everywhere(brokers, [name for name, *_ in wanted])


async def _known_everywhere(brokers: KafkaClient, names: Sequence[str]) -> None:
    """Return when every broker knows the topics: each learns of them in its own time."""

    async def attempt() -> None:
        for node in brokers.nodes():
            unknown = set(names) - _counts(await brokers.ask(node, _EVERY_TOPIC)).keys()
            if unknown:
                raise RetriableError(f"broker {node} does not know {min(unknown)} yet")

    await brokers.until_done(attempt)


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
