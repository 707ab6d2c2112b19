"""Occupancy: customers inside, as a mean and a peak, and how long they stay on average."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, SiteOccupancy
from trinetra.insights.metrics.definition import Metric, Sums, mean_over_time_of, ratio_of
from trinetra.insights.metrics.footfall import IN
from trinetra.insights.metrics.minutes import milliseconds_by_minute

PEOPLE_MS, AT_LEVEL_MS = "occupancy.ms", "occupancy.levels"
_REACH_S = 3600.0
_LEAST_MS = 5000
_LEAVES_OUT = (
    "Staff. The number follows from the counts in and out, corrected by what must hold: the shop "
    "is empty at closing, and as many go out as come in."
)


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield the time that customers spend inside in each minute, and the time at each number."""
    if isinstance(insight, SiteOccupancy):
        for minute, value in milliseconds_by_minute(insight.captured_at, insight.until):
            yield Cell(PEOPLE_MS, "", minute, insight.people * value)
            yield Cell(AT_LEVEL_MS, "", minute, value, insight.people)


def _peak(sums: Sums, open_s: float) -> float | None:
    """Return the largest number that lasted; 0 for an open shop without people."""
    levels = [people for people, ms in sums.get(AT_LEVEL_MS, {}).items() if ms >= _LEAST_MS]
    return float(max(levels)) if levels else (0.0 if open_s else None)


OCCUPANCY_MEAN = Metric(
    name="occupancy_mean",
    version=1,
    title="Occupancy (mean)",
    unit="people",
    counts="The mean number of customers inside, over the time open.",
    leaves_out=_LEAVES_OUT,
    series=(PEOPLE_MS,),
    inputs=("site_occupancy",),
    cells=cells,
    value=mean_over_time_of(PEOPLE_MS),
    scope="lines",
    is_total=False,
    reach_s=_REACH_S,
    trade="Live occupancy, capacity, headcount.",
)
OCCUPANCY_PEAK = Metric(
    name="occupancy_peak",
    version=1,
    title="Occupancy (peak)",
    unit="people",
    counts="The largest number of customers inside at the same time, for at least 5 s in all.",
    leaves_out=_LEAVES_OUT,
    series=(AT_LEVEL_MS,),
    inputs=("site_occupancy",),
    cells=cells,
    value=_peak,
    scope="lines",
    is_total=False,
    reach_s=_REACH_S,
)
MEAN_STAY = Metric(
    name="time_in_store_mean",
    version=1,
    title="Time in the shop (mean)",
    unit="s",
    counts=(
        "The mean time from a customer's entry to the exit, recognized or not: the time that all "
        "customers spent inside, by the number that came in (Little's law)."
    ),
    leaves_out=_LEAVES_OUT,
    series=(PEOPLE_MS, IN),
    needs=(PEOPLE_MS,),
    inputs=("site_occupancy", "passage"),
    cells=cells,
    value=ratio_of(PEOPLE_MS, IN, unit=0.001),
    scope="lines",
    is_total=False,
    reach_s=_REACH_S,
    trade="Average visit duration, shop dwell time.",
)
