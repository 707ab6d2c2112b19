"""What happens now: cameras, events, the floor and queues."""

from datetime import datetime
from typing import Any

from pydantic import Field

from trinetra.client.models.base import Resource


class CameraState(Resource):
    """A camera now.

    ``state`` is connecting, streaming, stalled, backoff, disabled or ended, and unknown where this
    process cannot ask the ingestor. ``waiting`` frames are in the buffer; ``dropped`` counts lost
    frames by reason since the start of the ingestor; ``delay_s`` is the time from a frame to the
    boxes in it. ``people`` are in view. What is not known is None.
    """

    id: str
    role: str
    state: str
    since: datetime | None = None
    problem: str | None = None
    fps: float | None = None
    waiting: int | None = None
    dropped: dict[str, int] = Field(default={})
    last_frame_at: datetime | None = None
    width: int | None = None
    height: int | None = None
    delay_s: float | None = None
    people: int | None = None
    has_pictures: bool = False


class StreamedEvent(Resource):
    """An event of the stream; ``id`` resumes after it.

    ``type`` is ``reset`` if events before it were lost: what was read before must be read anew.
    """

    id: str
    type: str
    data: dict[str, Any]


class FloorPerson(Resource):
    """A person on the floor plan now; ``kind`` is set if the person is known."""

    x_m: float
    y_m: float
    camera: str
    kind: str | None = None


class FloorCamera(Resource):
    """A camera on the floor plan; ``people`` are in its view, None if that is not known."""

    id: str
    x_m: float | None
    y_m: float | None
    people: int | None
    is_calibrated: bool


class FloorArea(Resource):
    """A zone as a calibrated camera sees it, on the floor plan."""

    camera: str
    zone: str
    kind: str
    polygon_m: tuple[tuple[float, float], ...]


class FloorNow(Resource):
    """Where people are now, in meters on the floor plan."""

    at: datetime
    people: tuple[FloorPerson, ...] = ()
    cameras: tuple[FloorCamera, ...] = ()


class FloorPlan(Resource):
    """What stands still on the floor plan, and the people on it now."""

    now: FloorNow
    areas: tuple[FloorArea, ...] = ()


class WaitForecast(Resource):
    """The expected mean wait of the next parties; ``low_s`` to ``high_s`` holds 80 % of them.

    Without a range there were too few earlier forecasts to tell it.
    """

    horizon_s: float
    wait_s: float
    low_s: float | None = None
    high_s: float | None = None


class QueueNow(Resource):
    """A queue now: ``people`` in it, None while its camera does not see it.

    ``wait_s`` is the mean wait of the parties served in the last 30 minutes, None without any.
    """

    camera: str
    zone: str
    tills: tuple[str, ...]
    people: int | None
    wait_s: float | None
    served: int
    abandoned: int
    forecasts: tuple[WaitForecast, ...] = ()


class TillNow(Resource):
    """A till now; ``is_open`` is None if that is not known."""

    id: str
    is_open: bool | None


class QueuesNow(Resource):
    """The queues and tills of the site now."""

    at: datetime
    queues: tuple[QueueNow, ...] = ()
    tills: tuple[TillNow, ...] = ()
