"""How people walk through the shop, and where they are."""

from datetime import datetime
from typing import Literal

from trinetra.client.models.base import Resource


class JourneyFlow(Resource):
    """How often people went from one zone to the next, and how many people did.

    ``start`` is "" where journeys begin, ``end`` where they end; zones are ``camera/zone``.
    """

    start: str
    end: str
    times: int
    people: int


class JourneyStep(JourneyFlow):
    """A flow that is the ``step``-th of a journey, from 0."""

    step: int


class JourneyPath(Resource):
    """How often a sequence of zones was walked as a whole, and by how many people."""

    zones: tuple[str, ...]
    times: int
    people: int


class Journeys(Resource):
    """Journeys of customers; cells of fewer than ``least_people`` are left out, and counted.

    ``steps`` are the flows by their number in the journey, of the first six.
    """

    start: datetime
    end: datetime
    journeys: int
    least_people: int
    flows: tuple[JourneyFlow, ...] = ()
    flows_left_out: int = 0
    steps: tuple[JourneyStep, ...] = ()
    steps_left_out: int = 0
    paths: tuple[JourneyPath, ...] = ()
    paths_left_out: int = 0


class HeatmapCell(Resource):
    """Person-hours in a cell; ``x`` and ``y`` are its column and row."""

    x: int
    y: int
    hours: float


class HeatmapAnswer(Resource):
    """Where people were: cells of ``cell_m`` from the origin of the floor plan.

    Of a camera that is not calibrated, ``grid`` is ``picture``: 32 by 18 cells from its top left
    corner, and ``cell_m`` is None. ``left_out`` cells had too few people to be shown.
    """

    grid: Literal["floor", "picture"]
    cell_m: float | None
    start: datetime
    end: datetime
    cells: tuple[HeatmapCell, ...]
    left_out: int
    completeness: dict[str, float | None]
