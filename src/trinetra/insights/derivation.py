"""Site-wide insights that are pure functions of other insights in a window of time."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trinetra.events.schema import InsightEvent
from trinetra.values import Instant


class Span(NamedTuple):
    """A half-open span of time."""

    start: Instant
    end: Instant


class Derivation(Protocol):
    """Derives insights of some types, which it alone writes, from insights of other types.

    Windows are aligned to multiples of ``window_s`` since 1970, UTC. Inputs that are up to
    ``margin_s`` outside of a window may matter to it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def inputs(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def outputs(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def window_s(self) -> float: ...  # noqa: D102

    @property
    def margin_s(self) -> float: ...  # noqa: D102

    def derive(self, span: Span, inputs: Sequence[InsightEvent]) -> Sequence[InsightEvent]:
        """Return the insights of a span.

        ``inputs`` have ``captured_at`` in the span widened by the margin, sorted by it and by id.
        Those returned have it in the span, and ids derived from their content.
        """
        ...
