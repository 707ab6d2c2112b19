"""Reorder window: puts one camera's detections back into frame order, within bounds.

Several inference workers take the frames of a camera in turn, so events arrive slightly out of
order and sometimes twice. Frame numbers are consecutive unless the frame buffer dropped frames, so
the number alone tells whether an event is next or should wait for its predecessor.

Numbers are compared within a capture session only. Sessions are ordered by their arrival here, not
by any clock: after a step of the ingestor's clock no number or time tells which one is newer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from trinetra.values import Instant, seconds_between

Item = TypeVar("Item")
Admission = Literal["accepted", "late", "duplicate", "next_session"]
_MAX_EARLIER = 16
"""Earlier sessions remembered per camera, to recognize their frames when they come again."""


@dataclass(frozen=True, slots=True)
class Slot(Generic[Item]):
    """One event with its position in the camera's order."""

    seq: int
    captured_at: Instant
    item: Item
    session: int = 0


@dataclass(slots=True)
class ReorderWindow(Generic[Item]):
    """Holds events back until their turn: at most ``max_pending``, over ``span_s`` seconds.

    ``last_seq`` is the frame number of the event of ``session`` released last, ``earlier`` that of
    each earlier session.
    """

    max_pending: int = 16
    span_s: float = 1.0
    last_seq: int | None = None
    session: int = 0
    earlier: dict[int, int] = field(default_factory=dict)
    _pending: dict[int, Slot[Item]] = field(default_factory=dict)
    _stragglers: int = 0

    def admit(self, slot: Slot[Item]) -> Admission:
        """Accept an event, or return why not.

        ``next_session``: release everything, call ``begin`` and admit the event again.
        """
        if slot.session != self.session and not self._is_fresh():
            return self._admit_other(slot)
        self.session, self._stragglers = slot.session, 0
        if slot.seq in self._pending or slot.seq == self.last_seq:
            return "duplicate"
        if self.last_seq is not None and slot.seq < self.last_seq:
            return "late"
        self._pending[slot.seq] = slot
        return "accepted"

    def begin(self, session: int) -> None:
        """Go on with another session; all events of the current one must have been released."""
        last_seq = self.earlier.pop(session, None)
        if self.last_seq is not None:
            self.earlier[self.session] = self.last_seq
        while len(self.earlier) > _MAX_EARLIER:
            del self.earlier[next(iter(self.earlier))]
        self.session, self.last_seq, self._stragglers = session, last_seq, 0

    def release(self, *, everything: bool = False) -> Iterator[Slot[Item]]:
        """Yield, in order, the events that need not wait any longer."""
        while self._pending:
            seq = min(self._pending)
            if not (everything or self._is_next(seq) or self._overdue(seq)):
                return
            self.last_seq = seq
            yield self._pending.pop(seq)

    def pending(self) -> list[Item]:
        """Return the events that are held back."""
        return [slot.item for slot in self._pending.values()]

    def _is_fresh(self) -> bool:
        return self.last_seq is None and not self._pending and not self.earlier

    def _admit_other(self, slot: Slot[Item]) -> Admission:
        """Return what becomes of an event of a session that is not the current one."""
        last_seq = self.earlier.get(slot.session)
        if last_seq is None:
            return "next_session"
        if slot.seq <= last_seq:
            return "duplicate" if slot.seq == last_seq else "late"
        # Stragglers of an earlier session are late. But if only that session goes on, then it is
        # the camera's present one, and what seemed to follow it had been delayed on its way here.
        self._stragglers += 1
        return "late" if self._stragglers <= self.max_pending else "next_session"

    def _is_next(self, seq: int) -> bool:
        return self.last_seq is None or seq == self.last_seq + 1

    def _overdue(self, seq: int) -> bool:
        # Waiting is measured in captured time, not on a clock: a replay decides the same way at any
        # speed. A dropped frame therefore delays its successors by span_s at most.
        newest = max(slot.captured_at for slot in self._pending.values())
        waited_s = seconds_between(self._pending[seq].captured_at, newest)
        return len(self._pending) > self.max_pending or waited_s > self.span_s
