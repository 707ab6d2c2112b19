"""Footfall: people and groups who come in and go out through the doors of the shop."""

from collections.abc import Iterable

from trinetra.events.rollups import Cell
from trinetra.events.schema import Group, InsightEvent, Passage
from trinetra.insights.footfall.groups import counts
from trinetra.insights.metrics.definition import Metric, ratio_of, total_of

IN, OUT, RECOGNIZED = "footfall.in", "footfall.out", "footfall.in.recognized"
ADULTS, CHILDREN, SIZED = "footfall.in.adult", "footfall.in.child", "footfall.in.sized"
GROUPS_IN, GROUPS_OUT, MEMBERS = "groups.in", "groups.out", "groups.in.people"


def passage_cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per person who comes in or goes out, and what is known of those who come in."""
    if not isinstance(insight, Passage) or not counts(insight):
        return
    place, at = insight.door_id, insight.captured_at
    yield Cell(f"footfall.{insight.direction}", place, at, 1)
    if insight.direction == "out":
        return
    if insight.customer_id is not None:
        yield Cell(RECOGNIZED, place, at, 1)
    if insight.age:
        yield Cell(f"footfall.in.{insight.age}", place, at, 1)
        yield Cell(SIZED, place, at, 1)


def group_cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield one per group, and its people if it comes in."""
    if not isinstance(insight, Group):
        return
    place, at = insight.door_id, insight.captured_at
    yield Cell(f"groups.{insight.direction}", place, at, 1)
    if insight.direction == "in":
        yield Cell(MEMBERS, place, at, insight.people)


_LEAVES_OUT = (
    "Staff, vehicles, people who turn round at the line, and lines of kind passby and inner."
)

FOOTFALL_IN, FOOTFALL_OUT = (
    Metric(
        name=f"footfall_{direction}",
        version=1,
        title=f"Footfall {direction}",
        unit="count",
        counts=(
            f"Each time a person goes {direction} through a door of the shop, once however many "
            "cameras and lines see it. A person who comes twice counts twice."
        ),
        leaves_out=_LEAVES_OUT,
        series=(f"footfall.{direction}",),
        inputs=("passage",),
        cells=passage_cells,
        value=total_of(f"footfall.{direction}"),
        scope="lines",
    )
    for direction in ("in", "out")
)
GROUP_TRAFFIC_IN, GROUP_TRAFFIC_OUT = (
    Metric(
        name=f"groups_{direction}",
        version=1,
        title=f"Groups {direction}",
        unit="count",
        counts=(
            f"Groups of people who go {direction} together: within seconds of each other, side by "
            "side. A person alone is a group of one."
        ),
        leaves_out=_LEAVES_OUT,
        series=(f"groups.{direction}",),
        inputs=("group",),
        cells=group_cells,
        value=total_of(f"groups.{direction}"),
        scope="lines",
    )
    for direction in ("in", "out")
)
GROUP_SIZE = Metric(
    name="group_size",
    version=1,
    title="People per group",
    unit="people",
    counts="The mean number of people of the groups that come in.",
    leaves_out=_LEAVES_OUT,
    series=(GROUPS_IN, MEMBERS),
    inputs=("group",),
    cells=group_cells,
    value=ratio_of(MEMBERS, GROUPS_IN),
    scope="lines",
    is_total=False,
)
CHILDREN_SHARE = Metric(
    name="children_share",
    version=1,
    title="Children among those who come in",
    unit="share",
    counts="Of the people who come in and whose height is known, the share shorter than 1.45 m.",
    leaves_out=f"People seen by no calibrated camera. {_LEAVES_OUT}",
    series=(CHILDREN, SIZED),
    inputs=("passage",),
    cells=passage_cells,
    value=ratio_of(CHILDREN, SIZED),
    scope="lines",
    is_total=False,
)
RECOGNIZED_SHARE = Metric(
    name="recognized_share",
    version=1,
    title="Recognized among those who come in",
    unit="share",
    counts="Of the people who come in, the share whose face was seen well enough to know them.",
    leaves_out=_LEAVES_OUT,
    series=(IN, RECOGNIZED),
    inputs=("passage",),
    cells=passage_cells,
    value=ratio_of(RECOGNIZED, IN),
    scope="lines",
    is_total=False,
)
