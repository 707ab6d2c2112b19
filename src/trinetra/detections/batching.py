"""When a micro-batch is complete: enough frames, or enough time since the first."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """A batch closes with ``max_frames``, or ``max_wait_s`` after its first frame."""

    max_frames: int = 4
    max_wait_s: float = 0.020

    def __post_init__(self) -> None:
        """Refuse a policy under which no batch could ever close."""
        if self.max_frames < 1 or self.max_wait_s < 0:
            raise ValueError("a batch needs max_frames >= 1 and max_wait_s >= 0")


@dataclass(slots=True)
class BatchWindow(Generic[Item]):
    """One batch while it fills; the caller brings the time, in seconds of a monotonic clock."""

    policy: BatchPolicy
    items: list[Item] = field(default_factory=list)
    _closes_at_s: float = 0.0

    @property
    def room(self) -> int:
        """How many items still fit."""
        return self.policy.max_frames - len(self.items)

    def add(self, items: list[Item], now_s: float) -> None:
        """Take items in; the first ones start the window."""
        if items and not self.items:
            self._closes_at_s = now_s + self.policy.max_wait_s
        self.items += items

    def wait_s(self, now_s: float) -> float:
        """Return how long the window may still wait for more: 0 when full, or when time is up."""
        if not self.items or self.room <= 0:
            return 0.0
        return max(0.0, self._closes_at_s - now_s)
