"""Vehicles: arrivals by class, how long they stay, and how many plates are read."""

from collections.abc import Iterable, Mapping

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, VehicleVisit
from trinetra.insights.metrics.definition import Metric, percentile_of, ratio_of, total_of
from trinetra.insights.metrics.histogram import bin_of

ARRIVALS, STAY_BINS, READ = "vehicles", "vehicles.stay_bins", "vehicles.plates"
CLASSES: Mapping[str, str] = {
    "car": "Cars",
    "motorcycle": "Motorcycles",
    "bus": "Buses",
    "truck": "Trucks",
    "bicycle": "Bicycles",
}


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per visit of a vehicle, in all and by class, and its stay, at the arrival."""
    if isinstance(insight, VehicleVisit):
        place, at = insight.camera_id, insight.captured_at
        yield Cell(ARRIVALS, place, at, 1)
        yield Cell(f"{ARRIVALS}.{insight.label}", place, at, 1)
        yield Cell(STAY_BINS, place, at, 1, bin_of(insight.stay_s))
        if insight.plate is not None:
            yield Cell(READ, place, at, 1)


_COUNTS = (
    "Vehicles that arrive: seen to cross a line of a vehicle camera, or in view for at least 30 s. "
    "One that is unseen in between is the same if its plate is, or its place."
)
_LEAVES_OUT = "Vehicles that only pass."

VEHICLE_ARRIVALS = Metric(
    name="vehicle_arrivals",
    title="Vehicle arrivals",
    unit="count",
    counts=_COUNTS,
    version=1,
    leaves_out=_LEAVES_OUT,
    inputs=("vehicle_visit",),
    cells=cells,
    scope="vehicles",
    series=(ARRIVALS,),
    value=total_of(ARRIVALS),
)
VEHICLE_ARRIVALS_BY_CLASS = tuple(
    Metric(
        name=f"vehicle_arrivals_{label}",
        title=f"Vehicle arrivals: {title.lower()}",
        unit="count",
        counts=f"{title} among: {_COUNTS} The class is that of most of the time in view.",
        version=1,
        leaves_out=_LEAVES_OUT,
        inputs=("vehicle_visit",),
        cells=cells,
        scope="vehicles",
        series=(f"{ARRIVALS}.{label}",),
        value=total_of(f"{ARRIVALS}.{label}"),
    )
    for label, title in CLASSES.items()
)
VEHICLE_STAY = Metric(
    name="vehicle_stay_median",
    title="Vehicle stay (median)",
    unit="s",
    counts=(
        "The time from a vehicle's first to its last frame that half of the vehicles do not "
        "exceed. It counts at the arrival."
    ),
    version=1,
    leaves_out=_LEAVES_OUT,
    inputs=("vehicle_visit",),
    cells=cells,
    scope="vehicles",
    series=(STAY_BINS,),
    value=percentile_of(STAY_BINS, 0.5),
    is_total=False,
)
PLATE_SHARE = Metric(
    name="vehicle_plates_read",
    title="Vehicles whose plate was read",
    unit="share",
    counts="Share of the vehicles that arrive of which a plate was read.",
    version=1,
    leaves_out=_LEAVES_OUT,
    inputs=("vehicle_visit",),
    cells=cells,
    scope="vehicles",
    series=(READ, ARRIVALS),
    value=ratio_of(READ, ARRIVALS),
    is_total=False,
)
VEHICLE_METRICS: tuple[Metric, ...] = (
    VEHICLE_ARRIVALS,
    *VEHICLE_ARRIVALS_BY_CLASS,
    VEHICLE_STAY,
    PLATE_SHARE,
)
