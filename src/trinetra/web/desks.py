"""What Setup and Audit need from the platform; wiring provides it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trinetra.client.models import (
    Audit,
    AuditRecording,
    CameraSearch,
    CameraTry,
    DistanceEstimate,
    FloorFit,
    FloorPoints,
    LineEvidence,
    LineState,
    NewAudit,
    NewRecording,
    OnvifLogin,
    OnvifStreams,
    RecordingIndex,
    SetupFile,
    SetupProposal,
    SetupReview,
    TriedCamera,
)
from trinetra.values import Instant


class SetupDesk(Protocol):
    """The site file, and what is checked and measured for changing it."""

    async def read(self) -> SetupFile:
        """Return the file. Raises FileRefused."""

    async def check(self, proposal: SetupProposal) -> SetupReview:
        """Return what a proposal would do. Raises FileRefused or ConfigurationError."""

    async def write(self, proposal: SetupProposal, etag: str) -> SetupFile:
        """Change the file if it is the one that ``etag`` names.

        Raises Outdated, Faulty, FileRefused or ConfigurationError; then nothing is changed.
        """

    async def evidence(self, proposal: SetupProposal, hours: float) -> Sequence[LineEvidence]:
        """Return what recorded tracks tell about the lines of a proposal."""

    async def distances(self, hours: float) -> Sequence[DistanceEstimate]:
        """Return distances as recorded walks suggest them."""

    def floor(self, points: FloorPoints) -> FloorFit:
        """Return how well floor points agree. Raises ConfigurationError if they fit nothing."""


class ShownCamera(NamedTuple):
    """A picture of a camera as JPEG, and whether faces in it can be recognized."""

    jpeg: bytes
    shows_faces: bool


class CameraDesk(Protocol):
    """Finds and tries cameras; logins are used once and never stored."""

    async def search(self) -> CameraSearch:
        """Search for cameras in the networks of this machine."""

    async def streams(self, login: OnvifLogin) -> OnvifStreams:
        """Return the streams of a camera. Raises SourceUnavailable or ConfigurationError."""

    async def attempt(self, camera: CameraTry) -> TriedCamera:
        """Connect to a camera and keep its picture for some minutes."""

    def tried_picture(self, name: str) -> bytes | None:
        """Return the picture of a camera that was tried, as JPEG."""

    async def picture(self, camera_id: str) -> ShownCamera:
        """Return a picture of a camera of the site file, as JPEG.

        Raises NotFound or SourceUnavailable.
        """


class AuditDesk(Protocol):
    """Counts by hand, and how the platform's counts compare; all may raise StoreUnavailable."""

    async def record(self, audit: NewAudit, by: str) -> Audit:
        """Compare and keep a count by hand. Raises NotFound or Invalid."""

    async def audits(self, camera: str | None, line: str | None) -> Sequence[Audit]:
        """Return the counts by hand, the latest first."""

    async def lines(self) -> Sequence[LineState]:
        """Return all counting lines with their last audit."""


class RecordingDesk(Protocol):
    """Recordings of cameras for counts by hand; every method but ``erase`` may raise NotFound."""

    async def start(self, wanted: NewRecording, by: str) -> AuditRecording:
        """Record a camera from now on. Raises Conflict or StorageFull; then nothing is recorded."""

    def recordings(self) -> Sequence[AuditRecording]:
        """Return the recordings that are kept, the latest first."""

    def index(self, recording_id: str) -> RecordingIndex:
        """Return a recording with the times of its pictures."""

    async def picture(self, recording_id: str, number: int) -> tuple[bytes, Instant]:
        """Return a picture as JPEG, and when it was taken."""

    async def end(self, recording_id: str) -> AuditRecording:
        """End a recording early."""

    async def erase(self, recording_id: str) -> bool:
        """Erase a recording; return whether there was one."""
