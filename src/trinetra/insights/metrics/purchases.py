"""Purchases: sales that are attributed to a person, and the way that led to them."""

from collections.abc import Iterable
from datetime import datetime

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, Purchase, UnpaidStay
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of, total_of
from trinetra.insights.metrics.histogram import bin_of
from trinetra.values import seconds_between

ALL, ATTRIBUTED, UNATTRIBUTED = "purchases", "purchases.attributed", "purchases.unattributed"
UNPAID, TIME, BEFORE = "unpaid_stays", "purchases.time_bins", "purchases.zones_before"
_REACH_S = 86_400.0
"""A purchase is dated by the till's clock and counts by that of the cameras."""


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield what a purchase adds, at the till's own time as its receipt, or an unpaid stay."""
    if isinstance(insight, UnpaidStay):
        yield Cell(UNPAID, insight.till_id, insight.captured_at, 1)
    if not isinstance(insight, Purchase):
        return
    place, at = insight.till_id, insight.captured_at
    yield Cell(ALL, place, at, 1)
    yield Cell(UNATTRIBUTED if insight.track_id is None else ATTRIBUTED, place, at, 1)
    if isinstance(insight.entered_at, datetime):
        yield Cell(TIME, place, at, 1, bin_of(seconds_between(insight.entered_at, insight.paid_at)))
    for zone in insight.zones_before or ():
        yield Cell(BEFORE, zone, at, 1)


ATTRIBUTED_SHARE = Metric(
    name="attributed_share",
    version=1,
    title="Sales attributed to a person",
    unit="share",
    counts="Share of the sales whose receipt belongs to a person who was seen at the till.",
    leaves_out="Receipts of tills that no zone of the site file names belong to no person.",
    series=(ATTRIBUTED, ALL),
    inputs=("purchase",),
    cells=cells,
    needs=(ALL, UNPAID),
    scope="tills",
    reach_s=_REACH_S,
    value=ratio_of(ATTRIBUTED, ALL),
    is_total=False,
)
UNATTRIBUTED_SALES = Metric(
    name="unattributed_sales",
    version=1,
    title="Sales without a person",
    unit="count",
    counts="Sales whose receipt could be attributed to no person who was seen at the till.",
    leaves_out="Refunds, voids and training receipts.",
    series=(UNATTRIBUTED,),
    inputs=("purchase",),
    cells=cells,
    needs=(ALL, UNPAID),
    scope="tills",
    is_total=False,
    reach_s=_REACH_S,
    value=total_of(UNATTRIBUTED),
)
UNPAID_STAYS = Metric(
    name="unpaid_stays",
    version=1,
    title="Stays at tills without a receipt",
    unit="count",
    counts=(
        "Stays in the zone of a till that were long enough to be served, until the till's last "
        "receipt, to which no receipt belongs."
    ),
    leaves_out="Staff, and tills that sent no receipt at all.",
    series=(UNPAID,),
    inputs=("unpaid_stay",),
    cells=cells,
    needs=(ALL, UNPAID),
    scope="tills",
    is_total=False,
    value=total_of(UNPAID),
)
TIME_TO_PURCHASE = Metric(
    name="time_to_purchase_median",
    version=1,
    title="Time to purchase (median)",
    unit="s",
    counts="From the start of a recognized customer's visit to the payment.",
    leaves_out="Sales that are attributed to no recognized customer.",
    series=(TIME,),
    inputs=("purchase",),
    cells=cells,
    needs=(ALL, UNPAID),
    scope="tills",
    reach_s=_REACH_S,
    value=percentile_of(TIME, 0.5),
    is_total=False,
)
ZONES_BEFORE = Metric(
    name="purchases_after_zone",
    version=1,
    title="Purchases after a stay in a zone",
    unit="count",
    counts="Purchases of people who stayed in the zone before they paid, once per purchase.",
    leaves_out=(
        "People who were not recognized: of them only stays in the view of the till are known."
    ),
    series=(BEFORE,),
    inputs=("purchase",),
    cells=cells,
    needs=(ALL, UNPAID),
    reach_s=_REACH_S,
    value=total_of(BEFORE),
    scope="zones",
)
PURCHASE_METRICS = (
    ATTRIBUTED_SHARE,
    UNATTRIBUTED_SALES,
    UNPAID_STAYS,
    TIME_TO_PURCHASE,
    ZONES_BEFORE,
)
