"""Accuracy of a counting line, from a count by hand.

A tap and a crossing of the same direction that are close in time are one person. Of F crossings
counted, H are such hits; of T people, the same H were found. The true number of people for each one
counted is T / F, which is the precision H / F divided by the recall H / T. Missed and invented
crossings come independently of each other, so the two shares do too, and the interval of their
ratio follows from those of both by MOVER-R (Donner and Zou, Statistical Methods in Medical Research
21(4), 2012; Newcombe, ibid. 25(5), 2016), with Wilson's score interval for each share (Wilson, JASA
22, 1927; recommended for small counts by Brown, Cai and DasGupta, Statistical Science 16, 2001). It
stays wide where few people were seen, also if there was no error among them.

The interval of a figure adds to that of the factor what chance does within the figure's own span:
with s errors for each one counted, a count of n has about n s of them, and their variance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from trinetra.events.audits import CountAudit, Way
from trinetra.values import Instant, seconds_between

_Z = 1.959964
"""Standard errors of a 95 % interval."""
_UNSEEN = 0.5
"""Added to the errors seen, so that none seen is not taken for none possible."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CountAccuracy:
    """Of ``by_hand`` people ``matched`` were found among ``by_platform`` crossings."""

    by_hand: int
    by_platform: int
    matched: int

    @property
    def factor(self) -> Share | None:
        """The true number of people for each one counted; None if nothing was matched."""
        if not self.matched:
            return None
        precision = wilson(self.matched, self.by_platform)
        recall = wilson(self.matched, self.by_hand)
        return ratio(precision, recall)

    @property
    def errors(self) -> float:
        """Missed and invented crossings for each one counted."""
        wrong = self.by_hand + self.by_platform - 2 * self.matched
        return (wrong + _UNSEEN) / max(1, self.by_platform)

    def interval(self, value: float) -> tuple[float, float] | None:
        """Return the bounds of the true count behind a counted one; None if they are unknown."""
        factor = self.factor
        if factor is None or value <= 0:
            return None
        chance = _Z * sqrt(value * self.errors)
        low = value * factor.value - sqrt((value * (factor.value - factor.low)) ** 2 + chance**2)
        high = value * factor.value + sqrt((value * (factor.high - factor.value)) ** 2 + chance**2)
        return max(0.0, low), high


def accuracy(audit: CountAudit, direction: Way) -> CountAccuracy:
    """Return how well the platform counted one direction."""
    taps = [tap.at for tap in audit.taps if tap.direction == direction]
    crossings = [each.at for each in audit.crossings if each.direction == direction]
    pairs = matches(taps, crossings, audit.tolerance_s)
    inside = [at for at in crossings if audit.start <= at < audit.end]
    beyond = sum(not audit.start <= crossing < audit.end for _, crossing in pairs)
    return CountAccuracy(len(taps), len(inside) + beyond, len(pairs))


def matches(
    taps: Iterable[Instant], crossings: Iterable[Instant], tolerance_s: float
) -> list[tuple[Instant, Instant]]:
    """Return as many pairs that are close in time as there can be, each instant in at most one.

    Taking the earliest partner that is close enough never prevents a later pair.
    """
    left, right = sorted(taps), sorted(crossings)
    found, column = [], 0
    for tap in left:
        while column < len(right) and seconds_between(right[column], tap) > tolerance_s:
            column += 1
        if column < len(right) and seconds_between(tap, right[column]) <= tolerance_s:
            found.append((tap, right[column]))
            column += 1
    return found


def wilson(hits: int, trials: int) -> Share:
    """Return a share with Wilson's score interval."""
    share, z2 = hits / trials, _Z**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return Share(share, max(0.0, middle - half), min(1.0, middle + half))


def ratio(one: Share, two: Share) -> Share:
    """Return the ratio of two independent positive shares with its interval by MOVER-R."""
    product = one.value * two.value
    low = product - _root(product, one.low, two.high, one.value, two.value)
    high = product + _root(product, one.high, two.low, one.value, two.value)
    return Share(
        one.value / two.value,
        low / (two.high * (2 * two.value - two.high)),
        high / (two.low * (2 * two.value - two.low)),
    )


def _root(product: float, bound: float, other: float, one: float, two: float) -> float:
    inner = product**2 - bound * other * (2 * one - bound) * (2 * two - other)
    return sqrt(max(0.0, inner))


def latest_for(
    audits: Sequence[CountAudit], changes: Iterable[Instant], span: tuple[Instant, Instant]
) -> CountAudit | None:
    """Return the latest audit that no change separates from a span; None without one."""
    changed = list(changes)
    for audit in sorted(audits, key=lambda each: each.end, reverse=True):
        start, end = min(audit.start, span[0]), max(audit.end, span[1])
        if not any(start < at < end for at in changed):
            return audit
    return None
