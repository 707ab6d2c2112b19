"""Visitors of a day: an estimate from traffic and recognized customers, with its interval.

Different people are not additive, unlike the other metrics: the figure is taken from all passages
of a span, not from sums. Over several days, add the days' figures up for visitor days.
"""

from collections.abc import Iterable

from trinetra.events.schema import Passage
from trinetra.insights.footfall.visitors import (
    IN_SIMULATION,
    ON_FOOTAGE,
    CountingQuality,
    Estimate,
    LinkQuality,
    entries_of,
    unique_visitors,
)

NAME, VERSION, TITLE, UNIT = "unique_visitors", 1, "Unique visitors", "people"
COUNTS = (
    "Different people who came in: footfall, less the share of re-entries that recognized "
    "customers show, with a 95 % interval."
)
LEAVES_OUT = (
    "Staff, and people who only passed by. Unknown if no customer who came in was recognized."
)


def visitors_in(
    passages: Iterable[Passage],
    links: LinkQuality = IN_SIMULATION,
    counting: CountingQuality = ON_FOOTAGE,
) -> Estimate | None:
    """Return the number of different people among the passages of a span, such as a day."""
    return unique_visitors(entries_of(passages), counting, links)
