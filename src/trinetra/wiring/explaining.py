"""Finds the events about an id in the history, and explains it."""

from collections.abc import Callable

from trinetra.errors import ConfigurationError
from trinetra.events.customers import CustomerDirectory
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS, Topic
from trinetra.explanation import Explanation, Gathering, Naming, explain_events, subjects_of
from trinetra.replay.event_history import EventHistory
from trinetra.values import CustomerId, Instant

Watcher = Callable[[int], None]
"""Is told the number of events read so far."""
_TOPICS = (IDENTITIES, ALERTS, CUSTOMERS, INSIGHTS)


def names_in(people: CustomerDirectory) -> Naming:
    """Return how customers are called: by name and id, or the id alone."""

    def name(customer_id: CustomerId) -> str:
        known = people.customers.get(people.canonical(customer_id))
        return f"{known.name} ({customer_id})" if known and known.name else customer_id

    return name


async def explanation_of(
    subject: str,
    past: EventHistory,
    *,
    since: Instant,
    name: Naming = str,
    watch: Watcher = lambda _: None,
) -> Explanation:
    """Return the explanation of an id. Raises ConfigurationError if the history has no such id."""
    topics = (*_TOPICS, DETECTIONS) if subject.startswith("det_") else _TOPICS
    mentions = await _gather(frozenset({subject}), past, topics, since, watch)
    wider = subjects_of(subject, mentions.found)
    if wider != mentions.ids:
        mentions = await _gather(wider, past, topics, since, watch)
    account = explain_events(subject, mentions.found, name)
    if account is None:
        raise ConfigurationError(_unknown(subject, past, mentions))
    return account


async def _gather(
    ids: frozenset[str],
    past: EventHistory,
    topics: tuple[Topic, ...],
    since: Instant,
    watch: Watcher,
) -> Gathering:
    gathering = Gathering(ids)
    async for batch in past.read(topics, since=since):
        for payload in batch:
            gathering.add(payload)
        watch(gathering.read)
    return gathering


def _unknown(subject: str, past: EventHistory, read: Gathering) -> str:
    if read.oldest is None:
        return f"{past} holds no event: there is nothing to explain {subject} by"
    return (
        f"no event, track or customer {subject} in {past}, which goes back to "
        f"{read.oldest:%Y-%m-%d %H:%M:%S} UTC ({read.read:,} events): check the id, or give the "
        "file it is from with --file"
    )
