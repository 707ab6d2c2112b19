"""Micro-batching: a batch is complete with enough frames, or enough time after the first."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """A batch closes with ``max_frames``, or ``max_wait_s`` after its first frame."""

    max_frames: int = 4
    max_wait_s: float = 0.020

    def __post_init__(self) -> None:
        """Raise ValueError for a policy under which no batch could ever close."""
        if self.max_frames < 1 or self.max_wait_s < 0:
            raise ValueError("a batch needs max_frames >= 1 and max_wait_s >= 0")


@dataclass(slots=True)
class BatchWindow(Generic[Item]):
    """A batch that is being filled; the caller passes the time, in seconds of a monotonic clock."""

    policy: BatchPolicy
    items: list[Item] = field(default_factory=list)
    _closes_at_s: float = 0.0

    @property
    def room(self) -> int:
        """The number of items that still fit."""
        return self.policy.max_frames - len(self.items)

    def add(self, items: list[Item], now_s: float) -> None:
        """Add items; the first ones start the window."""
        if items and not self.items:
            self._closes_at_s = now_s + self.policy.max_wait_s
        self.items += items

    def wait_s(self, now_s: float) -> float:
        """Return how long the window may still wait for more; 0 if it is full or time is up."""
        if not self.items or self.room <= 0:
            return 0.0
        return max(0.0, self._closes_at_s - now_s)
