"""Dwell: how long people stay in a zone, as a distribution."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, ZoneStay
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of, total_of
from trinetra.insights.metrics.histogram import bin_of
from trinetra.insights.metrics.people import is_customer

STAYS, DWELL_MS, HISTOGRAM = "stays", "dwell.ms", "dwell.bins"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield count, time and bin of a stay, at its end."""
    if isinstance(insight, ZoneStay) and is_customer(insight):
        place, at = f"{insight.camera_id}/{insight.zone_id}", insight.captured_at
        yield Cell(STAYS, place, at, 1)
        yield Cell(DWELL_MS, place, at, round(insight.dwell_s * 1000))
        yield Cell(HISTOGRAM, place, at, 1, bin_of(insight.dwell_s))


_COUNTS = (
    "The time from a person's entry into a zone to the exit, for stays of at least the zone's "
    "min_dwell_s. It counts in the minute, hour and day in which the stay ends."
)
_LEAVES_OUT = "Staff, vehicles, and people who only pass."

ZONE_STAYS = Metric(
    name="stays",
    version=1,
    trade="Engagements, zone visits. Some count from 5, 10 or 30 s on: set min_dwell_s.",
    title="Stays",
    unit="count",
    counts="Stays in a zone of at least the zone's min_dwell_s, when they end.",
    leaves_out=_LEAVES_OUT,
    series=(STAYS,),
    inputs=("zone_stay",),
    cells=cells,
    value=total_of(STAYS),
    scope="zones",
)
DWELL_MEAN = Metric(
    name="dwell_mean",
    version=1,
    trade="Average dwell time, average engagement time. A few long stays rule it: see the median.",
    title="Dwell time (mean)",
    unit="s",
    counts=f"The mean of: {_COUNTS}",
    leaves_out=_LEAVES_OUT,
    series=(STAYS, DWELL_MS),
    inputs=("zone_stay",),
    cells=cells,
    value=ratio_of(DWELL_MS, STAYS, unit=0.001),
    scope="zones",
    is_total=False,
)
DWELL_MEDIAN, DWELL_P90 = (
    Metric(
        name=name,
        version=1,
        title=title,
        unit="s",
        counts=f"The time that {told} stays do not exceed. {_COUNTS}",
        leaves_out=_LEAVES_OUT,
        series=(HISTOGRAM,),
        inputs=("zone_stay",),
        cells=cells,
        value=percentile_of(HISTOGRAM, share),
        scope="zones",
        is_total=False,
    )
    for name, title, share, told in (
        ("dwell_median", "Dwell time (median)", 0.5, "half of the"),
        ("dwell_p90", "Dwell time (90 %)", 0.9, "nine of ten"),
    )
)
