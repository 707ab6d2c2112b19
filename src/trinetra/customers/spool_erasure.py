"""Erasures in the spools of processes that reach the event log, but not the database.

The owner of a spool reads the request from the log and answers there; a process that reaches both
takes the answer to the erasure store, as an acknowledgement in the owner's name. While a spool
cannot be reached, no erasure of its installation is complete.
"""

from collections.abc import Mapping
from dataclasses import replace

from trinetra.errors import EventLogUnavailable, StorageFull, StoreUnavailable
from trinetra.events.biometrics import without_biometrics
from trinetra.events.erasure import Acknowledgement
from trinetra.events.spool_erasure import (
    REQUEST_KEY,
    SpoolAnswer,
    SpoolRequest,
    encode_spool,
    members_with_spools,
    read_answer,
    read_request,
    spool_key,
    token_of,
)
from trinetra.events.topics import DETECTIONS, ERASURES
from trinetra.ports import Clock, ErasureStore, EventLog, Record
from trinetra.streaming.background import Poller
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger

_log = get_logger("erasure")


class SpoolParticipant:
    """The part of a spool's owner: it reads the request every ``every_s``, and answers.

    Every method raises EventLogUnavailable when the log does not answer.
    """

    def __init__(self, log: EventLog, clock: Clock, *, member: str, every_s: float = 2.0) -> None:
        self._log = log
        self._clock = clock
        self._member = member
        self._every_s = every_s
        self._due_s = clock.monotonic()
        self._requested: frozenset[str] = frozenset()
        self._answer = SpoolAnswer()

    @property
    def wait_s(self) -> float:
        """Seconds until the request is to be read again."""
        return max(0.0, self._due_s - self._clock.monotonic())

    def hurry(self) -> None:
        """Let the next call read the request: an outage begins, and may last for long."""
        self._due_s = self._clock.monotonic()

    async def is_erasing(self) -> bool:
        """Return whether an erasure was not carried out here, as read ``every_s`` ago at most.

        The first call makes the spool known: from then on no erasure is complete without it.
        """
        if not self.wait_s:
            latest = await self._log.latest(ERASURES, 0)
            known = read_answer(latest, self._member)
            self._answer = SpoolAnswer(cleared=known.cleared if known else {})
            if known != self._answer:
                await self._tell(self._answer)
            self._requested = read_request(latest).tokens
            self._due_s = self._clock.monotonic() + self._every_s
        return not self._requested <= self._answer.cleared.keys()

    async def acknowledge(self, removed: Mapping[str, int]) -> None:
        """Answer that all that the spool held when the request was read is gone from the disk."""
        before = self._answer.cleared
        cleared = {token: before.get(token, dict(removed)) for token in self._requested}
        await self._tell(SpoolAnswer(cleared=cleared))
        _log.info("biometric data was erased from the spool", **removed)

    async def leave(self) -> None:
        """Tell that the spool is empty and its owner ends: no later erasure waits for it."""
        await self._tell(SpoolAnswer(cleared=self._answer.cleared, has_left=True))

    async def _tell(self, answer: SpoolAnswer) -> None:
        await self._log.append([Record(ERASURES, spool_key(self._member), encode_spool(answer))])
        self._answer = answer


def erase_biometrics(record: Record) -> Record | None:
    """Return a record without biometric data, itself if it has none; None if it is unreadable."""
    if record.topic.name != DETECTIONS.name or record.value is None:
        return record
    value = without_biometrics(record.value)
    if value is record.value:
        return record
    return None if value is None else replace(record, value=value)


class SpoolErasures:
    """Background task of a service with the erasure store: takes requests to spools, and back.

    Any number of processes may do so. During an outage of the log or the store, requests stand.
    """

    def __init__(
        self, log: EventLog, erasure_store: ErasureStore, clock: Clock, *, every_s: float = 2.0
    ) -> None:
        self._log = log
        self._erasure_store = erasure_store
        self._clock = clock
        self._poller = Poller(self._exchange, clock, every_s=every_s)
        self._outage = OutageTracker(clock, _log, "spools' erasures: event log or erasure store")

    async def tend(self) -> None:
        """Pass requests and answers on, if that is due; never waits long."""
        try:
            has_answered = await self._poller.answer()
        except (EventLogUnavailable, StoreUnavailable, StorageFull) as cause:
            self._outage.note(cause)
        else:
            if has_answered:
                self._outage.end()

    async def close(self) -> None:
        """Stop polling; may be called more than once."""
        await self._poller.close()

    async def _exchange(self) -> bool:
        latest = await self._log.latest(ERASURES, 0)
        awaited: set[str] = set()
        for member in members_with_spools(latest):
            answer = read_answer(latest, member) or SpoolAnswer()
            awaited |= await (self._part_with if answer.has_left else self._collect)(member, answer)
        if not awaited <= read_request(latest).tokens:
            request = SpoolRequest(tokens=frozenset(awaited))
            await self._log.append([Record(ERASURES, REQUEST_KEY, encode_spool(request))])
        return True

    async def _collect(self, member: str, answer: SpoolAnswer) -> set[str]:
        """Record that a spool exists and what it has cleared; return the erasures still due."""
        due = {
            token_of(erasure): erasure
            for erasure in await self._erasure_store.heartbeat(member, self._clock.now(), member)
        }
        for token in due.keys() & answer.cleared.keys():
            await self._acknowledge(member, due[token].number, answer.cleared[token])
        return due.keys() - answer.cleared.keys()

    async def _part_with(self, member: str, answer: SpoolAnswer) -> set[str]:
        """Acknowledge what waits for a spool that was empty at its end, and let it go."""
        store = self._erasure_store
        await store.deregister(member, member)  # first: no later request waits for it
        for erasure in await store.heartbeat(member, self._clock.now()):
            removed = answer.cleared.get(token_of(erasure), {})
            await self._acknowledge(member, erasure.number, removed)
        await store.deregister(member)
        # An owner that is back meanwhile tells of itself again.
        await self._log.append([Record(ERASURES, spool_key(member), None)])
        return set()

    async def _acknowledge(self, member: str, number: int, removed: Mapping[str, int]) -> None:
        share = Acknowledgement(member=member, at=self._clock.now(), removed=dict(removed))
        await self._erasure_store.acknowledge(number, share)
