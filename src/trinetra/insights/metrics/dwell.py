"""Dwell: how long people stay in a zone, as a distribution."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, ZoneStay
from trinetra.insights.metrics.definition import Metric
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


DWELL = Metric(
    name="dwell",
    version=1,
    title="Dwell time",
    unit="s",
    counts=(
        "The time from a person's entry into a zone to the exit, for stays of at least the zone's "
        "min_dwell_s. It counts in the minute, hour and day in which the stay ends."
    ),
    leaves_out="Staff, vehicles, and people who only pass.",
    series=(STAYS, DWELL_MS, HISTOGRAM),
    cells=cells,
)
