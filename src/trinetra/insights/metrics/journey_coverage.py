"""Share of the time in zones that journeys tell of."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, ZoneStay
from trinetra.insights.metrics.definition import Metric, ratio_of
from trinetra.insights.metrics.dwell import DWELL_MS
from trinetra.insights.metrics.people import is_customer

NAMED_MS = "dwell.named.ms"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the time of a stay whose customer is known, at its end."""
    if isinstance(insight, ZoneStay) and is_customer(insight) and insight.customer_id:
        place = f"{insight.camera_id}/{insight.zone_id}"
        yield Cell(NAMED_MS, place, insight.captured_at, round(insight.dwell_s * 1000))


JOURNEY_COVERAGE = Metric(
    name="journey_coverage",
    version=1,
    title="Share of the dwell time in journeys",
    unit="share",
    counts=(
        "The share of the time in zones that is of customers who were recognized by their face, or "
        "linked to one by their body: journeys tell of them alone."
    ),
    leaves_out="Staff, vehicles, and people who only pass.",
    series=(NAMED_MS, DWELL_MS),
    inputs=("zone_stay",),
    cells=cells,
    value=ratio_of(NAMED_MS, DWELL_MS),
    scope="zones",
    is_total=False,
)
