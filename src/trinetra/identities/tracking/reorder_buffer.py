"""A short, bounded window that puts one camera's detections back into frame order.

Several inference workers take the frames of a camera in turn, so events arrive slightly shuffled
and sometimes twice. Frame numbers are consecutive unless the buffer dropped frames, which tells at
once whether an event can go on or should wait a moment for the one before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from trinetra.values import Instant, seconds_between

Item = TypeVar("Item")
Admission = Literal["accepted", "late", "duplicate"]


@dataclass(frozen=True, slots=True)
class Slot(Generic[Item]):
    """One event with its place in the camera's order."""

    seq: int
    captured_at: Instant
    item: Item


@dataclass(slots=True)
class ReorderWindow(Generic[Item]):
    """Hold events back until their turn: at most ``max_pending``, over ``span_s`` seconds.

    ``last_seq`` is the number of the event released last.
    """

    max_pending: int = 16
    span_s: float = 1.0
    last_seq: int | None = None
    _pending: dict[int, Slot[Item]] = field(default_factory=dict)

    def admit(self, slot: Slot[Item]) -> Admission:
        """Take an event in, or say why it comes too late."""
        if slot.seq in self._pending or slot.seq == self.last_seq:
            return "duplicate"
        if self.last_seq is not None and slot.seq < self.last_seq:
            return "late"
        self._pending[slot.seq] = slot
        return "accepted"

    def release(self, *, everything: bool = False) -> Iterator[Slot[Item]]:
        """Yield, in order, what need not wait any longer."""
        while self._pending:
            seq = min(self._pending)
            if not (everything or self._is_next(seq) or self._overdue(seq)):
                return
            self.last_seq = seq
            yield self._pending.pop(seq)

    def pending(self) -> list[Item]:
        """Return what is still held back."""
        return [slot.item for slot in self._pending.values()]

    def _is_next(self, seq: int) -> bool:
        return self.last_seq is None or seq == self.last_seq + 1

    def _overdue(self, seq: int) -> bool:
        newest = max(slot.captured_at for slot in self._pending.values())
        waited_s = seconds_between(self._pending[seq].captured_at, newest)
        return len(self._pending) > self.max_pending or waited_s > self.span_s
