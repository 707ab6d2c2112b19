"""A member of a consumer group that commits outputs, state and offsets in one transaction."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from trinetra.adapters.kafka.client import KafkaClient
from trinetra.adapters.kafka.member import (
    COMMITTED_TIMEOUT_S,
    JOIN_TIMEOUT_S,
    LEAVE_TIMEOUT_S,
    UNPOLLED_S,
    GroupMember,
    Membership,
    Owned,
)
from trinetra.adapters.kafka.producer import COMMIT_TIMEOUT_S, INIT_TIMEOUT_S
from trinetra.adapters.kafka.records import delivery
from trinetra.adapters.kafka.worker import Worker
from trinetra.errors import EventLogUnavailable, PartitionsLost
from trinetra.ports import Delivery, Progress, TopicPartition
from trinetra.telemetry import get_logger

_TURN_S = 0.1
_TURN_TIMEOUT_S = INIT_TIMEOUT_S + COMMITTED_TIMEOUT_S
_COMMIT_WAIT_S = 2 * COMMIT_TIMEOUT_S + 1  # sends the offsets, then ends the transaction
_SILENCE_S = 5.0

T = TypeVar("T")
_log = get_logger("event-log")


class LateCall(EventLogUnavailable):
    """A call to librdkafka has not returned in time, and may never return."""


class KafkaSubscription:
    """A Subscription as a static member of a Kafka consumer group (KIP-345).

    A call of librdkafka may never return after a broker was away, whatever timeout it was given
    (``send_offsets_to_transaction`` of 2.16.0). Then the member is left to its thread, and a new
    one of the same name takes over: the group and the transactions fence the old one.
    """

    def __init__(
        self,
        client: KafkaClient,
        membership: Membership,
        on_close: Callable[["KafkaSubscription"], None],
    ) -> None:
        self._client = client
        self._membership = membership
        self._on_close = on_close
        self._numbers = itertools.count(1)
        self._worker = Worker(membership.instance)
        self._member = GroupMember(client, membership, self._numbers)
        self._late_s = 0.0
        self._polled: dict[TopicPartition, int] = {}
        self._turn = 0
        self._heard_s = 0.0
        self._closed = False

    @property
    def instance(self) -> str:
        """The name by which the group knows this member, over restarts."""
        return self._membership.instance

    async def join(self) -> None:
        """Return when the group has given this member its first partitions, or none.

        Raises EventLogUnavailable, ConfigurationError.
        """
        group = self._membership.group
        await self._run(self._member.join, JOIN_TIMEOUT_S + 1, f"joining {group}")
        self._heard_s = asyncio.get_running_loop().time()

    # --- the port ---------------------------------------------------------------------------

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, in turn over partitions.

        Raises EventLogUnavailable when the brokers do not answer, ConfigurationError when another
        process has taken this one's name.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + wait_s
        while True:
            turn_s = min(_TURN_S, max(0.0, give_up_s - loop.time()))
            await self._receive(turn_s)
            self._polled = {w: o.number for w, o in self._member.owned.items() if o.ready}
            if got := self._take(max_records):
                self._heard_s = loop.time()
                return got
            if loop.time() >= give_up_s:
                await self._listen_for_life()
                return []

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, with the numbers of assignment."""
        strip = len(self._membership.prefix)
        return {(topic[strip:], p): n for (topic, p), n in self._polled.items()}

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Append the outputs and move the group on, in one transaction for all partitions.

        Raises PartitionsLost with those that another member owns by now; with all of them if the
        transaction did not come through. Raises ConfigurationError.
        """
        prefix = self._membership.prefix
        parts = {(prefix + p.where[0], p.where[1]): p for p in progress}
        polled = dict(self._polled)
        try:
            kept = await self._commit(parts, polled)
        except EventLogUnavailable as failure:
            kept, why = frozenset[TopicPartition](), str(failure)
        else:
            why = "others own them by now"
        for where in kept:
            self._member.owned[where].ready = True
        if lost := {part.where for where, part in parts.items() if where not in kept}:
            self._polled = {w: n for w, n in self._polled.items() if w in kept or w not in parts}
            topic, partition = min(lost)
            raise PartitionsLost(
                f"{len(lost)} partitions of {self._membership.group} were not committed, among "
                f"them {topic}[{partition}] ({why}): poll on to learn whose they are",
                frozenset(lost),
            )

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed.

        As of the last poll or commit: the thread may be waiting for a broker that is away.
        """
        return self._member.lag

    async def close(self) -> None:
        """Leave the group at once, so that its other members need not wait for the session."""
        if self._closed:
            return
        self._closed = True
        self._polled = {}
        try:
            await self._run(self._member.leave, LEAVE_TIMEOUT_S, "leaving")
        except EventLogUnavailable as failure:
            # A cluster that is away will miss our heartbeats.
            _log.debug("left without a word", group=self._membership.group, why=str(failure))
        finally:
            self._worker.stop()
            self._on_close(self)

    async def _receive(self, wait_s: float) -> None:
        try:
            await self._run(partial(self._member.receive, wait_s), _TURN_TIMEOUT_S, "polling")
        except LateCall:
            self._late_s += _TURN_TIMEOUT_S
            if self._late_s >= UNPOLLED_S:
                self._replace_member("polling")
            raise
        self._late_s = 0.0

    async def _commit(
        self, parts: Mapping[TopicPartition, Progress], polled: Mapping[TopicPartition, int]
    ) -> frozenset[TopicPartition]:
        commit = partial(self._member.commit, parts, polled)
        try:
            return await self._run(commit, _COMMIT_WAIT_S, "committing")
        except LateCall:
            self._replace_member("committing")
            raise

    def _replace_member(self, doing: str) -> None:
        """Go on with a new member on a new thread, and leave the old one to the call it is in."""
        _log.warning(
            "a call does not return: joining again", group=self._membership.group, call=doing
        )
        self._worker.stop()
        self._worker = Worker(self._membership.instance)
        self._member = GroupMember(self._client, self._membership, self._numbers)
        self._polled, self._late_s = {}, 0.0

    async def _run(self, call: Callable[[], T], timeout_s: float, doing: str) -> T:
        try:
            return await self._worker.run(call, timeout_s)
        except TimeoutError:
            raise LateCall(str(self._client.late(doing, timeout_s))) from None

    async def _listen_for_life(self) -> None:
        """Return if a broker has answered lately, or does now. Raises EventLogUnavailable."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_s >= _SILENCE_S:
            await self._client.ping()
            self._heard_s = now_s

    # --- delivering -------------------------------------------------------------------------

    def _take(self, max_records: int) -> list[Delivery]:
        """Return what is here: first a fair share of every partition, then the rest."""
        ready = [where for where in self._polled if self._member.owned[where].buffered]
        if not ready:
            return []
        self._turn = (self._turn + 1) % len(ready)
        share = max(1, max_records // len(ready))
        taken: list[Delivery] = []
        for most in (share, max_records):
            for where in ready[self._turn :] + ready[: self._turn]:
                taken += self._pop(self._member.owned[where], min(most, max_records - len(taken)))
        return taken

    def _pop(self, owned: Owned, most: int) -> list[Delivery]:
        count = min(most, len(owned.buffered))
        messages = [owned.buffered.popleft() for _ in range(count)]
        owned.undone.extend(message.offset() or 0 for message in messages)
        return [delivery(message, self._membership.prefix) for message in messages]
