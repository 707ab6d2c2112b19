"""The live part of the platform as the web sees it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from trinetra.client.models import CameraState, FloorPlan, HealthReport, QueuesNow
from trinetra.web.access import Principal
from trinetra.web.desks import RecordingDesk
from trinetra.web.live.live import Live


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What happens now.

    ``note_faces_shown`` enters in the log of operations that a caller sees the faces of a camera;
    it raises StorageFull.
    """

    feed: Live
    cameras: Callable[[], Awaitable[Sequence[CameraState]]]
    floor: Callable[[], FloorPlan]
    queues: Callable[[], Awaitable[QueuesNow]]
    health: Callable[[], Awaitable[HealthReport]]
    note_faces_shown: Callable[[Principal, str], Awaitable[None]]
    recordings: RecordingDesk
