"""Insights on record, what figures are made of, vehicles, and context."""

from datetime import datetime
from typing import Any

from pydantic import Field

from trinetra.client.models.base import Resource
from trinetra.client.models.figures import FigureValue, MetricInfo


class Insight(Resource):
    """One insight on record: its type, and what that type tells besides, by name.

    The types and their fields are those of docs/events.schema.json. ``customer_id`` and ids of
    tracks are told only to callers who may read customers.
    """

    kind: str
    event_id: str
    camera_id: str
    captured_at: datetime
    fields: dict[str, Any] = Field(default={})


class Moment(Resource):
    """One step in the history of a track or customer."""

    at: datetime
    event_id: str
    camera: str
    told: str


class Explanation(Resource):
    """Why something was decided, and what would have changed it, in plain words."""

    subject: str
    headline: str
    because: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    story: tuple[Moment, ...] = ()


class InsightType(Resource):
    """A type of insight, and whether its insights name customers."""

    kind: str
    names_customers: bool


class Contribution(Resource):
    """One insight that a figure counts, and what it adds to which place."""

    event_id: str
    at: datetime
    told: str
    adds: int
    place: str = ""


class LeftOut(Resource):
    """One insight that a figure leaves out, and the reason."""

    event_id: str
    at: datetime
    told: str
    why: str


class Gap(Resource):
    """A span of opening hours in which a camera was not watched."""

    camera_id: str
    start: datetime
    end: datetime
    reason: str


class FigureExplanation(Resource):
    """What a figure is made of; lists are cut to the first ones, the counts are not.

    ``is_exact`` tells that the counted insights add up to the figure on record.
    """

    metric: MetricInfo
    figure: FigureValue
    counted: int
    left_out: int
    contributions: tuple[Contribution, ...] = ()
    omissions: tuple[LeftOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    is_exact: bool


class VehicleVisit(Resource):
    """A vehicle at the site. ``plate_id`` is a pseudonym; ``plate`` is told only if it is stored.

    Both need the permission to read customers.
    """

    event_id: str
    arrived_at: datetime
    left_at: datetime
    stay_s: float
    label: str
    cameras: tuple[str, ...]
    departed: bool
    plate_id: str | None = None
    plate: str | None = None


class RegularVehicle(Resource):
    """A vehicle that came on several days, by the pseudonym of its plate."""

    plate_id: str
    days: int
    visits: int
    first_at: datetime
    last_at: datetime


class ContextEntry(Resource):
    """What no camera sees: weather, staff hours, a promotion, a note or a target."""

    kind: str
    name: str
    starts_at: datetime
    ends_at: datetime
    value: float | None = None
    text: str = ""
