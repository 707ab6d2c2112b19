"""Traffic: people who cross a counting line, by direction."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, LineCrossing
from trinetra.insights.metrics.definition import Metric, total_of
from trinetra.insights.metrics.people import is_customer

IN, OUT = "traffic.in", "traffic.out"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per crossing of a person."""
    if isinstance(insight, LineCrossing) and is_customer(insight):
        place = f"{insight.camera_id}/{insight.line_id}"
        yield Cell(f"traffic.{insight.direction}", place, insight.captured_at, 1)


TRAFFIC_IN, TRAFFIC_OUT = (
    Metric(
        name=f"traffic_{direction}",
        version=1,
        title=f"Traffic {direction}",
        unit="count",
        counts=(
            f"Each time a person crosses a counting line {direction}ward: seen clearly on one side "
            "of the band around the line, and then clearly on the other. A person who comes twice "
            "counts twice."
        ),
        leaves_out="Staff, vehicles, and people who turn round in the band.",
        series=(f"traffic.{direction}",),
        inputs=("line_crossing",),
        cells=cells,
        value=total_of(f"traffic.{direction}"),
        scope="lines",
        trade=trade,
    )
    for direction, trade in (
        (
            "in",
            (
                "Traffic in, footfall, footcount, visitor count. Some vendors leave out children "
                "or people who come back within some minutes: this one does neither."
            ),
        ),
        ("out", "Traffic out, exits."),
    )
)
