"""Counts of lines by hand, and recordings for them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from trinetra.client.models.base import Resource
from trinetra.client.models.setup import Slug


class Tap(Resource):
    """A person that the user saw crossing the line, and when, by the picture's own time."""

    at: AwareDatetime
    direction: Literal["in", "out"]


class NewAudit(Resource):
    """A count by hand of a line over a span of time, of at most two hours."""

    camera: Slug
    line: Slug
    start: AwareDatetime
    end: AwareDatetime
    taps: Annotated[tuple[Tap, ...], Field(max_length=5_000)] = ()
    tolerance_s: Annotated[float, Field(ge=0.5, le=10, allow_inf_nan=False)] = 3.0
    recording: Annotated[
        str | None,
        Field(max_length=64, description="The recording that was counted: it is erased."),
    ] = None


class NewRecording(Resource):
    """A recording to start, so that a line of this camera can be counted calmly afterwards."""

    camera: Slug
    minutes: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 10.0


class AuditRecording(Resource):
    """Pictures of a camera with unrecognizable heads, kept until its line is counted.

    It ends at ``ends_at`` at the latest, and is erased at ``erased_at`` at the latest. ``problem``
    tells why it ended early, or why pictures are missing.
    """

    id: str
    camera: str
    by: str
    started_at: datetime
    ends_at: datetime
    erased_at: datetime
    is_recording: bool
    pictures: int
    bytes: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    problem: str | None = None


class RecordingIndex(Resource):
    """A recording, and when each of its pictures was taken, in their order."""

    recording: AuditRecording
    times: tuple[datetime, ...]


class AuditedDirection(Resource):
    """People of one direction: counted by hand and by the platform, and by both at one time.

    ``factor`` is what the platform's count is to be multiplied by, with its 95 % interval; None
    where too little was seen to tell.
    """

    direction: Literal["in", "out"]
    by_hand: int
    by_platform: int
    matched: int
    factor: float | None = None
    low: float | None = None
    high: float | None = None


class Audit(Resource):
    """A count by hand and what the platform counted in the same span.

    ``is_current`` is False if the line, the floor points or the model have changed since.
    """

    id: str
    camera: str
    line: str
    start: datetime
    end: datetime
    by: str
    made_at: datetime
    tolerance_s: float
    directions: tuple[AuditedDirection, ...]
    is_current: bool
    changed_since: str | None = None


class LineState(Resource):
    """A counting line, and whether its count should be audited (again), and why."""

    camera: str
    line: str
    kind: str
    last: Audit | None = None
    is_due: bool
    reason: str = ""
