"""Engagement: which stays in a zone are more than a pause in passing."""

from collections.abc import Mapping

from trinetra.insights.metrics.histogram import edges_of


def engaged_share(bins: Mapping[int, int], engaged_after_s: float) -> float | None:
    """Return the share of stays of at least ``engaged_after_s``; None without any stay.

    ``bins`` are those of ``dwell.bins``. Exact at whole seconds up to a minute; above, stays are
    taken to be spread evenly over a bin. Stays below the zone's ``min_dwell_s`` are in no bin.
    """
    total = sum(bins.values())
    if total <= 0:
        return None
    return sum(n * _share_above(number, engaged_after_s) for number, n in bins.items()) / total


def _share_above(number: int, least_s: float) -> float:
    low, high = edges_of(number)
    return min(1.0, max(0.0, (high - least_s) / (high - low)))
