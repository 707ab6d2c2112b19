"""Derivations: insights that follow from other insights of the whole site in a span of time.

A derivation is a pure function of the set of its inputs, so it does not matter in which order they
arrived. The store notes which windows an insight changes, the engine derives these anew, and the
outputs of a window are replaced as a whole: late events and corrections need no rule of their own.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trinetra.events.schema import InsightEvent
from trinetra.values import Instant


class Span(NamedTuple):
    """A half-open span of time."""

    start: Instant
    end: Instant


class Derivation(Protocol):
    """One kind of derived insight.

    ``inputs`` are the types of the insights that it reads, ``outputs`` those that it alone writes.
    Windows are aligned to multiples of ``window_s`` (at most a day) since 1970. An insight may
    matter to windows that are up to ``margin_s`` away.
    """

    @property
    def name(self) -> str:
        """Identifies the derivation in the store."""

    @property
    def version(self) -> int:
        """Version of the definition; a new one derives all windows on record anew."""

    @property
    def inputs(self) -> frozenset[str]:
        """Types of the insights that are read."""

    @property
    def outputs(self) -> frozenset[str]:
        """Types of the insights that are written."""

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""

    @property
    def margin_s(self) -> float:
        """How far outside of a window insights may matter, in seconds."""

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        """Return the insights whose captured_at lies in ``span``.

        ``inputs`` are those from ``margin_s`` before to ``margin_s`` after it, ordered by
        captured_at and event_id.
        """
