"""Pass-by traffic: people outside who walk past the shop, and the share of them that comes in."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, Passage
from trinetra.insights.footfall.groups import counts, is_customer
from trinetra.insights.metrics.definition import Metric, ratio_of, total_of

PASSBY, TURNED_IN = "passby", "passby.turned_in"


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per person who walks past, in either direction, and one per person who comes in."""
    if not isinstance(insight, Passage):
        return
    place, at = insight.door_id, insight.captured_at
    if insight.door_kind == "passby" and is_customer(insight):
        yield Cell(PASSBY, place, at, 1)
    elif counts(insight) and insight.direction == "in":
        yield Cell(TURNED_IN, place, at, 1)


PASSBY_TRAFFIC = Metric(
    name="passby_traffic",
    version=1,
    title="Pass-by traffic",
    unit="count",
    counts=(
        "Each time a person outside crosses a line of kind passby, in either direction, once "
        "however many cameras see it."
    ),
    leaves_out="Staff, vehicles, and people who turn round at the line.",
    series=(PASSBY,),
    needs=(PASSBY,),
    inputs=("passage",),
    cells=cells,
    value=total_of(PASSBY),
    scope="lines",
)
TURN_IN_RATE = Metric(
    name="turn_in_rate",
    version=1,
    title="Turn-in rate",
    unit="share",
    counts=(
        "People who come in, divided by pass-by traffic of the same time. It is unknown without "
        "a line of kind passby, and may exceed 1 where people come in who did not cross it."
    ),
    leaves_out="As footfall and pass-by traffic.",
    series=(PASSBY, TURNED_IN),
    inputs=("passage",),
    cells=cells,
    value=ratio_of(TURNED_IN, PASSBY),
    scope="lines",
    is_total=False,
)
