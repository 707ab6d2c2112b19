"""Visits: recognized customers' presences at the site."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, Visit
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of, total_of
from trinetra.insights.metrics.histogram import bin_of
from trinetra.values import IdentityKind, seconds_between

VISITS, RETURNING, DURATION = "visits", "visits.returning", "visits.duration_bins"
_REACH_S = 7 * 86_400.0
"""A visit counts at its start and is captured at its end; none lasts a week."""


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per visit, at its start."""
    if not isinstance(insight, Visit) or insight.withdrawn is True:
        return
    if insight.kind is IdentityKind.STAFF:
        return
    at = insight.started_at
    yield Cell(VISITS, "", at, 1)
    if insight.visit_number > 1:
        yield Cell(RETURNING, "", at, 1)
    yield Cell(DURATION, "", at, 1, bin_of(seconds_between(at, insight.captured_at)))


RECOGNIZED_VISITS = Metric(
    name="recognized_visits",
    version=1,
    trade="Identified visits, sessions. Not unique visitors, who count once in the whole span.",
    title="Recognized visits",
    unit="count",
    counts=(
        "Presences of customers whose face was recognized, first to last sighting over all "
        "cameras; an absence longer than visit_gap_s begins the next. A visit counts where it "
        "starts."
    ),
    leaves_out=(
        "Staff, people on the watchlist, and everybody whose face was not seen well enough: it is "
        "a lower bound of all visits. Visits that turn out to be one person's after a merge stay "
        "two here; reports of people unite them."
    ),
    series=(VISITS,),
    inputs=("visit",),
    cells=cells,
    scope="faces",
    reach_s=_REACH_S,
    value=total_of(VISITS),
)
RETURNING_SHARE = Metric(
    name="returning_share",
    version=1,
    trade="Returning visitors, repeat rate, loyalty.",
    title="Returning customers",
    unit="share",
    counts="Of the recognized visits, the share that is not a customer's first on record.",
    leaves_out="As recognized visits. First means first within the retention of faces.",
    series=(VISITS, RETURNING),
    inputs=("visit",),
    cells=cells,
    scope="faces",
    reach_s=_REACH_S,
    value=ratio_of(RETURNING, VISITS),
    is_total=False,
)
VISIT_DURATION = Metric(
    name="visit_duration",
    version=1,
    title="Visit duration (median)",
    unit="s",
    counts="The median time from the first to the last sighting of a recognized visit.",
    leaves_out="As recognized visits. Time before the face was first seen is not part of it.",
    series=(DURATION,),
    inputs=("visit",),
    cells=cells,
    scope="faces",
    reach_s=_REACH_S,
    value=percentile_of(DURATION, 0.5),
    is_total=False,
)
