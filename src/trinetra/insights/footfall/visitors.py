"""Unique visitors: estimated from traffic, because faces do not show everyone.

Traffic counts everyone who comes in, but a person who comes in twice twice. Recognized customers
tell how often that happens: among ``recognized`` entries of ``customers`` different people, the
share ``1 - customers / recognized`` were repeats. If the number of entries of a person is
geometric, so is the number of those that were recognized, and the share of re-entries among all
entries follows (compare the extrapolation of species richness, Chao et al., Ecological Monographs
84(1), 2014). Two corrections are made: for what counting misses and invents, and for returns that
were taken for new people.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, sqrt

from trinetra.events.schema import Passage
from trinetra.insights.footfall.groups import counts
from trinetra.values import CustomerId

_Z = 1.96
"""Standard errors of a 95 % interval."""
_UNSEEN = 0.5
"""Added to a count whose error is wanted, so that none seen is not taken for none possible."""


@dataclass(frozen=True, slots=True)
class CountingQuality:
    """How well a door counts, from a count by hand.

    Of ``truths`` entries ``hits`` were found, and ``found`` in all. ``dispersion`` is the variance
    of the errors by that of independent ones: they go together, as when a group hides itself.
    """

    truths: int
    found: int
    hits: int
    dispersion: float = 1.25

    @property
    def factor(self) -> float:
        """What a count is multiplied by to correct it."""
        return self.truths / self.found

    @property
    def errors(self) -> float:
        """Misses and inventions for each one counted."""
        wrong = (self.truths - self.hits) + (self.found - self.hits)
        return (wrong + _UNSEEN) / self.found


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """How many of ``returns`` of known people were recognized, from a trial with known people."""

    returns: int
    recognized: int

    @property
    def share(self) -> float:
        """The share of returns that are recognized."""
        return (self.recognized + _UNSEEN) / (self.returns + 2 * _UNSEEN)


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a span: all, those of recognized customers, and how many customers these were."""

    traffic: int
    recognized: int
    customers: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with a 95 % interval."""

    value: float
    low: float
    high: float


ON_FOOTAGE = CountingQuality(truths=34, found=34, hits=30)
"""At the rates of the roles on seven labeled and counted recordings (docs/footfall.md); it holds
where a door's own count by hand is missing, and makes the interval wide."""


IN_SIMULATION = LinkQuality(returns=200, recognized=145)
"""Of people who come again with a face of 48 pixels or more, in the simulated busy store
(docs/accuracy.md); it holds where no trial with known people of this shop is at hand."""


def entries_of(passages: Iterable[Passage]) -> Entries:
    """Return what the passages of a span add up to; staff and inner doors do not count."""
    came_in = [p for p in passages if counts(p) and p.direction == "in"]
    names = [p.customer_id for p in came_in if p.customer_id is not None]
    return Entries(len(came_in), len(names), len(set[CustomerId](names)))


def unique_visitors(
    entries: Entries, counting: CountingQuality, links: LinkQuality
) -> Estimate | None:
    """Return how many different people came in; None if no entry was recognized."""
    if entries.traffic == 0:
        return Estimate(0.0, 0.0, 0.0)
    reentries = reentry_share(entries, links)
    if reentries is None:
        return None
    once, once_error = 1.0 - reentries[0], reentries[1]
    value = entries.traffic * counting.factor * once
    of_traffic = _traffic_variance(entries.traffic, counting)
    relative = sqrt(of_traffic + (once_error / once) ** 2)
    low, high = value * exp(-_Z * relative), value * exp(_Z * relative)
    # There are at most as many people as entries, however little is known of re-entries.
    most = entries.traffic * counting.factor * exp(_Z * sqrt(of_traffic))
    return Estimate(value, low, min(high, most))


def reentry_share(entries: Entries, links: LinkQuality) -> tuple[float, float] | None:
    """Return the share of entries that are not a person's first, and its standard error."""
    if entries.recognized == 0:
        return None
    seen = entries.recognized / entries.traffic
    repeats = entries.recognized - entries.customers
    again = min(repeats / entries.recognized / links.share, 1.0 - 1.0 / (entries.recognized + 1))
    share = again / (seen + again * (1.0 - seen))
    slope = seen / (seen + again * (1.0 - seen)) ** 2
    again_error = sqrt((repeats + _UNSEEN) * (1.0 - again)) / entries.recognized / links.share
    share_error = again * sqrt((1.0 - links.share) / links.share / max(1, links.returns))
    return share, slope * sqrt(again_error**2 + share_error**2)


def repeat_share(known_before: int, customers: int, links: LinkQuality) -> Estimate | None:
    """Return the share of visitors who came on an earlier day; None without recognized customers.

    ``known_before`` of the ``customers`` who were recognized were recognized on an earlier day.
    Whoever was not known again counts among the new ones: the share is corrected for that.
    """
    if customers == 0:
        return None
    share = min(1.0, known_before / customers / links.share)
    part = (known_before + _UNSEEN) / (customers + 2 * _UNSEEN)
    chance = sqrt(part * (1.0 - part) / customers) / links.share
    link = share * sqrt((1.0 - links.share) / links.share / max(1, links.returns))
    error = _Z * sqrt(chance**2 + link**2)
    return Estimate(share, max(0.0, share - error), min(1.0, share + error))


def _traffic_variance(traffic: int, counting: CountingQuality) -> float:
    """Return the relative variance of a corrected count: by chance, and of the correction."""
    by_chance = counting.errors * counting.dispersion / traffic
    of_factor = counting.errors * counting.dispersion / counting.truths
    return by_chance + of_factor
