"""Reorder window: puts one camera's detections back into frame order, within bounds.

Several inference workers take the frames of a camera in turn, so events arrive slightly out of
order and sometimes twice. Frame numbers are consecutive unless the frame buffer dropped frames, so
the number alone tells whether an event is next or should wait for its predecessor.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from trinetra.values import Instant, seconds_between

Item = TypeVar("Item")
Admission = Literal["accepted", "late", "duplicate"]


@dataclass(frozen=True, slots=True)
class Slot(Generic[Item]):
    """One event with its position in the camera's order."""

    seq: int
    captured_at: Instant
    item: Item


@dataclass(slots=True)
class ReorderWindow(Generic[Item]):
    """Holds events back until their turn: at most ``max_pending``, over ``span_s`` seconds.

    ``last_seq`` is the frame number of the event released last.
    """

    max_pending: int = 16
    span_s: float = 1.0
    last_seq: int | None = None
    _pending: dict[int, Slot[Item]] = field(default_factory=dict)

    def admit(self, slot: Slot[Item]) -> Admission:
        """Accept an event, or return why it is rejected."""
        if slot.seq in self._pending or slot.seq == self.last_seq:
            return "duplicate"
        if self.last_seq is not None and slot.seq < self.last_seq:
            return "late"
        self._pending[slot.seq] = slot
        return "accepted"

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

    def _is_next(self, seq: int) -> bool:
        return self.last_seq is None or seq == self.last_seq + 1

    def _overdue(self, seq: int) -> bool:
        # Waiting is measured in captured time, not on a clock: a replay decides the same way at any
        # speed. A dropped frame therefore delays its successors by span_s at most.
        newest = max(slot.captured_at for slot in self._pending.values())
        waited_s = seconds_between(self._pending[seq].captured_at, newest)
        return len(self._pending) > self.max_pending or waited_s > self.span_s
