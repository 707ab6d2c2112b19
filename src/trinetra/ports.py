"""Ports: protocols of at most five methods for everything that services use from outside.

An adapter translates its vendor's exceptions into those of ``trinetra.errors``. Every adapter of a
port passes the same suite in ``tests/contracts``.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trinetra.events.accounts import (
    FailedLogins,
    OneTimeSecret,
    Purpose,
    SessionRecord,
    TokenRecord,
    User,
)
from trinetra.events.alerts import (
    Arming,
    BoardChange,
    BoardQuery,
    Controls,
    Decide,
    Mute,
    NoticeDelivery,
    NoticePage,
    NoticeState,
    Outgoing,
)
from trinetra.events.audits import CountAudit
from trinetra.events.context import ContextEntry
from trinetra.events.customers import CustomerChange, CustomerDirectory, NumberedChange
from trinetra.events.derivation import Derivation, Span
from trinetra.events.erasure import Acknowledgement, Erasure, ErasureStatus
from trinetra.events.figures import Mark
from trinetra.events.rollups import BucketSum, Grain, PartSum
from trinetra.events.schema import InsightEvent, Receipt, Visit
from trinetra.events.topics import Topic
from trinetra.values import (
    CameraId,
    CustomerId,
    Detections,
    Embedding,
    EventId,
    Faces,
    FaceVectors,
    Frame,
    GalleryEntry,
    GalleryMatch,
    ImageBgr,
    Instant,
    PlateText,
    YuvPlanes,
)


class Clock(Protocol):
    """Source of time for the services; tests inject their own."""

    def now(self) -> Instant:
        """Return the current UTC instant."""

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds on this clock."""


class DecodedFrame(Protocol):
    """A decoded frame, still in the memory layout of its source."""

    @property
    def captured_at(self) -> Instant:
        """The capture time, as accurately as the source knows it."""

    @property
    def width(self) -> int:
        """Native width in pixels."""

    @property
    def height(self) -> int:
        """Native height in pixels."""

    def planes(self, width: int, height: int) -> YuvPlanes:
        """Return the picture scaled to ``width x height``, in JPEG's color space."""

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the brightness scaled to ``(height, width)``; cheap, for motion detection."""


class FrameSource(Protocol):
    """One camera, file or folder of images. Calls block, so the ingestor gives it a thread."""

    def open(self) -> None:
        """Connect. Raises SourceUnavailable, SourceAbsent or SourceRefused."""

    def read(self, *, key_frames_only: bool) -> DecodedFrame | None:
        """Return the next frame, or None at the end of a file.

        Raises SourceStalled when nothing arrives in time, SourceUnavailable when the connection
        breaks, FrameRejected when this frame is unusable but the next one may be good.
        """

    def close(self) -> None:
        """Release the connection; idempotent."""


@dataclass(frozen=True, slots=True)
class BufferedFrame:
    """A frame delivered to one consumer, which acknowledges it by its ``entry_id``.

    ``appended_s`` is when the buffer took it, on the consumer's monotonic clock. How long it waited
    is measured by the buffer's clock: the wall clocks of ingestors and consumers may differ.
    """

    entry_id: str
    frame: Frame
    appended_s: float


CAMERA_FRAMES_MAX_BYTES = 32 << 20
"""Bytes that a camera's frames may take in a buffer, unless a smaller share of it is set: 100
frames of a 1080p camera with its native JPEGs."""


class FrameBuffer(Protocol):
    """A stream of frames per camera, shared by one group of competing consumers.

    A stream is bounded by a number of frames and by their bytes. Every method raises
    BufferUnavailable when the buffer does not answer.
    """

    async def append(self, frame: Frame) -> int:
        """Append a frame; return how many old ones were dropped to stay within the bound."""

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, fairly over cameras; wait only for the first."""

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Acknowledge frames; they are never delivered again."""

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that another consumer has left unacknowledged for ``idle_s``."""

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera are undelivered or unacknowledged."""


LATEST_FRAME_S = 60.0
"""Seconds for which the last frame of a camera that delivers no more can still be read."""


class LatestFrames(Protocol):
    """The last frame of each camera, to be shown; reading it takes it from no consumer."""

    async def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame, finished or not; None if it has none of late.

        Of a camera that was not asked about for some seconds it may be a second old. Raises
        BufferUnavailable.
        """


class ShownFrameBuffer(FrameBuffer, LatestFrames, Protocol):
    """A frame buffer whose last frames can be shown."""


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes to append to a topic; records with the same key keep their order.

    ``partition`` is derived from the key unless it is given: a state record goes to the partition
    that its input came from. A value of None deletes the key from a compacted topic.
    """

    topic: Topic
    key: str
    value: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as a consumer receives it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """The next offset to read in one partition, and the outputs derived from the records before it.

    ``next_offset`` is None if no input record caused the outputs; the committed offset of the group
    does not move.
    """

    where: TopicPartition
    next_offset: int | None
    outputs: Sequence[Record] = ()


def read_up_to(deliveries: Iterable[Delivery]) -> list[Progress]:
    """Return the progress for records that were read and produced no output."""
    ends = {(d.topic, d.partition): d.offset + 1 for d in deliveries}
    return [Progress(where, next_offset) for where, next_offset in ends.items()]


class Subscription(Protocol):
    """One member of a consumer group, which owns some partitions of its topics."""

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, each partition in order.

        Raises EventLogUnavailable; poll again later.
        """

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, each with the number of its assignment.

        If a number is new or has risen, the consumer must restore the partition from its state
        topic: either another member owned it meanwhile, or this member's last commit may have
        failed. By then no earlier owner can commit to the partition any more.
        """

    async def commit(self, progress: Sequence[Progress]) -> None:
        """For each partition, atomically append its outputs and commit its offset for the group.

        If the process crashes before this returns, each partition is either fully committed, or its
        records are delivered again and none of its outputs is visible. Raises PartitionsLost with
        the partitions that were not committed; all others were. A log may put all partitions of
        a commit into one transaction, and then loses all of them together.
        """

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed."""

    async def close(self) -> None:
        """Leave the group; uncommitted records are delivered to another member."""


class TopicReader(Protocol):
    """A reader of whole topics outside any consumer group: it owns and commits nothing."""

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records, each partition in order; wait only for the first.

        Raises EventLogUnavailable; poll again later.
        """

    async def lag(self) -> int:
        """Return how many committed records are still to be read."""

    async def close(self) -> None:
        """Stop reading; idempotent."""


class EventLog(Protocol):
    """A durable, partitioned log."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records; they are acknowledged when this returns. Raises EventLogUnavailable."""

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group, from the group's committed offsets or from the beginning."""

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key in a partition of a compacted topic.

        Deleted keys are omitted. Includes every commit that returned before the call. Raises
        EventLogUnavailable.
        """

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Open a reader of all partitions, at the first record appended at or after ``since``.

        It sees committed records only. Raises EventLogUnavailable.
        """


class Engine(Protocol):
    """A loaded neural network that maps one batch tensor to its output tensors."""

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs, in the order of the manifest, for an input ``(n, channels, h, w)``.

        A network that takes bytes gets the values rounded down to them. Raises EngineFailure.
        """


class Detector(Protocol):
    """Detects people and vehicles."""

    def detect(self, images: Sequence[ImageBgr]) -> list[Detections]:
        """Return the objects of each image, in pixels of that image."""


class FaceReader(Protocol):
    """Detects faces and computes embeddings of aligned ones."""

    def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
        """Return the faces of each image, in pixels of that image."""

    def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
        """Return the embeddings of aligned ``112 x 112`` faces; norm 0 if one has no vector."""


class BodyEmbedder(Protocol):
    """Computes embeddings of bodies, which are alike for one person in the same clothes."""

    def embed(self, crops: Sequence[ImageBgr]) -> NDArray[np.float32]:
        """Return the unit vector of each body ``(n, dimension)``; zero if it has none."""


class PlateReader(Protocol):
    """Reads the license plates of vehicles."""

    def warm_up(self) -> None:
        """Prepare for pictures of every shape, which would delay frames later."""

    def read(self, crops: Sequence[ImageBgr]) -> list[list[PlateText]]:
        """Return the texts on each picture of a vehicle, in its pixels, surest first."""


@dataclass(frozen=True, slots=True)
class Template:
    """One face of an enrolled person, embedded by one model version."""

    model: str
    entry: GalleryEntry


class Gallery(Protocol):
    """The embeddings of one model version, searchable by cosine similarity."""

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return the ``k`` nearest of each embedding, best first. Raises GalleryUnavailable."""

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Insert or replace entries by ``entry_id``; they are durable when this returns."""

    async def delete(self, customer_id: CustomerId) -> int:
        """Delete every entry of an identity; return how many there were."""

    async def delete_expired(self, now: Instant) -> int:
        """Delete the entries whose ``expires_at`` is not after ``now``; return how many."""

    async def count(self) -> int:
        """Return the number of entries."""


class ReadableGallery(Gallery, Protocol):
    """A gallery whose entries can be read: by id, or all."""

    async def get(self, entry_ids: Sequence[str]) -> list[GalleryEntry]:
        """Return the entries with these ids, in any order; ids without an entry are omitted.

        Raises GalleryUnavailable.
        """

    def entries(self, batch_size: int) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; changes made meanwhile may or may not be included.

        Raises GalleryUnavailable.
        """


class PurgeableGallery(ReadableGallery, Protocol):
    """A gallery that can remove deleted data from its files."""

    async def purge(self) -> bool:
        """Remove every byte of deleted entries from the files; return whether that was possible.

        False if a server manages the files. Raises GalleryUnavailable.
        """


class CustomerLog(Protocol):
    """The log of customer changes: enrollments, merged identities and erasures.

    A numbered sequence of changes, stored with the faces of enrolled people. Every method raises
    StoreUnavailable when the log does not answer.
    """

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Append changes in order, and faces, all or none; each ``change_id`` at most once.

        Raises CustomerConflict for a change that contradicts an earlier one.
        """

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        """Return changes with a number above ``after``, in order."""

    async def templates(self, model: str) -> list[GalleryEntry]:
        """Return the faces of enrolled people that were embedded by a model version."""

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Replace every record about a person with ``change``, which does not identify them.

        Return how many changes and faces were deleted.
        """

    async def reached(self, reader: str, number: int = 0) -> int:
        """Record that a reader has applied all changes up to ``number``; return its maximum."""


class ErasureTarget(Protocol):
    """A store, besides the gallery and the database, whose records identify people by id."""

    async def forget(self, ids: Sequence[CustomerId]) -> Mapping[str, int]:
        """Delete all records of a person; return the count of each kind. Idempotent."""


class ErasureStore(Protocol):
    """Coordinates erasures: takes requests, and collects the acknowledgement of every process.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def request(
        self, ids: Sequence[CustomerId], at: Instant, owners: Sequence[str] = ()
    ) -> ErasureStatus:
        """Erase a person from this database, and request the same of all other processes.

        It is complete once all processes that are alive have acknowledged, all ``owners``, and all
        that a heartbeat ever named. An owner is a member, or a service for any of its members.
        Covers the customer log and the insights. Once this returns, nothing can bring the ids back.
        Idempotent: repeating it returns the same request.
        """

    async def heartbeat(self, member: str, at: Instant, owner: str | None = None) -> list[Erasure]:
        """Record that a process is alive; return the erasures it still has to acknowledge.

        ``owner`` names data of it that outlives the process: no erasure is complete without it.
        """

    async def acknowledge(self, number: int, share: Acknowledgement) -> None:
        """Record that a process did its part; after the last acknowledgement, delete the ids."""

    async def find(self, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
        """Return the erasure of a person and the processes it still waits for, or None."""

    async def deregister(self, member: str, owner: str | None = None) -> None:
        """Record that a process shuts down cleanly, so that no erasure waits for it.

        ``owner`` names data that does not outlive it after all: no later request waits for it.
        """


class InsightStore(Protocol):
    """The insights that the insight engine has derived, stored for queries."""

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by ``event_id``; insights are durable when this returns.

        An older state of an insight than the stored one is ignored. Raises StorageFull or
        StoreUnavailable.
        """

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order.

        Without withdrawn visits.
        """

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under exactly this id, even if withdrawn."""

    async def know(
        self, people: CustomerDirectory, changed: Collection[CustomerId] | None = None
    ) -> None:
        """Store which ids belong to the same person; a directory with a lower number is ignored.

        ``changed`` are the ids that changes since the caller's last directory named; without them
        all are compared.
        Recorded insights are not rewritten, so undoing a merge leaves no trace.
        """

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        """Return the visits of people that ended in ``[start, end)``, in that order.

        Visits recorded under several ids of one person are reported under that person's canonical
        id, and merged if at most ``gap_s`` lies between them.
        """


class ContextStore(Protocol):
    """Context of a shop's figures: weather, staff hours, promotions, notes and targets."""

    async def record(self, entries: Sequence[ContextEntry]) -> None:
        """Insert or replace entries, all or none. Raises StorageFull or StoreUnavailable."""

    async def between(self, start: Instant, end: Instant) -> list[ContextEntry]:
        """Return the entries whose span overlaps ``[start, end)``, in order of their start."""


class ReceiptStore(Protocol):
    """The receipts among the insights, by id: what was sent before must not count twice."""

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert new receipts, and replace those of an older revision; as InsightStore does."""

    async def receipts(self, event_ids: Collection[EventId]) -> list[Receipt]:
        """Return the receipts that are stored under these event ids. Raises StoreUnavailable."""


class ExpiringStore(InsightStore, Protocol):
    """An insight store that deletes old insights; every method may raise StoreUnavailable."""

    async def receipts(self, event_ids: Collection[EventId]) -> list[Receipt]:
        """Return the receipts that are stored under these event ids."""

    async def records_of(self, ids: Sequence[CustomerId]) -> list[InsightEvent]:
        """Return everything recorded under exactly these ids, in the order of capture."""

    async def expire_merges(self, before: Instant, most: int) -> int:
        """Delete changes of the customer log that merged anonymous people; return how many.

        Up to ``most``, of merges older than ``before`` about people that no insight names.
        """

    async def expire_plates(self, before: Instant, most: int) -> int:
        """Unlink up to ``most`` vehicle visits from before an instant; return how many.

        The pseudonym of the plate is replaced by a random one, which connects no two visits.
        """

    async def expire(self, before: Instant, most: int) -> int:
        """Delete up to ``most`` insights of each kind older than ``before``; return how many."""


class FigureStore(Protocol):
    """The sums per minute, hour, day and month that follow from the insights on record."""

    async def prepare_figures(
        self, zone: ZoneInfo, setup: Mapping[tuple[str, str], str], at: Instant
    ) -> bool:
        """Sum up all insights on record anew if zone or metrics changed; return whether they did.

        ``setup`` is the state of all that figures depend on, by what it is and its name; what
        differs from the last call is marked. To be called before insights are recorded. Raises
        StoreUnavailable.
        """

    async def marks(self, span: Span) -> list[Mark]:
        """Return the changes of the setup in a span, in order."""

    async def sums(
        self,
        series: Collection[str],
        grain: Grain,
        span: tuple[Instant, Instant],
        places: Collection[str] | None = None,
    ) -> list[BucketSum]:
        """Return the sums of buckets that start in the span, by series, start, place and bin."""

    async def part_sums(
        self,
        series: Collection[str],
        grain: Grain,
        parts: Sequence[Span],
        places: Collection[str] | None = None,
        *,
        by_place: bool = False,
    ) -> list[PartSum]:
        """Return the sums over spans that follow each other, of all places together or by place.

        The edges of the spans are edges of buckets of the grain.
        """

    async def counted(self, kinds: Collection[str], span: Span) -> list[InsightEvent]:
        """Return insights of these types as they count now, ordered by captured_at and id.

        With the person and the kind that the customer log has for them, and withdrawn visits.
        """

    async def changed_sums(self, grain: Grain, change: int, most: int) -> list[BucketSum]:
        """Return about ``most`` sums that changed after write number ``change``, in order."""


class InsightQuery(NamedTuple):
    """A page of insights of one type in a span, up to ``most``; it begins behind ``after``.

    ``customer_id`` stands for a person under all ids; only types that name customers know it.
    """

    kind: str
    span: Span
    most: int
    after: tuple[Instant, EventId] | None = None
    camera_id: CameraId | None = None
    customer_id: CustomerId | None = None


class PagedStore(Protocol):
    """The insights on record, page by page."""

    async def page(self, query: InsightQuery) -> list[InsightEvent]:
        """Return a page in the order of captured_at and id, as the insights count now.

        Without withdrawn visits. Raises ValueError for a type that does not exist or names no
        customer, StoreUnavailable.
        """


class Unpublished(NamedTuple):
    """A derived insight that the event log has not received yet, encoded."""

    number: int
    key: str
    event: bytes


class DerivingStore(Protocol):
    """An insight store that keeps derived insights in step with their inputs."""

    async def derive(self, derivation: Derivation, most: int) -> int:
        """Derive anew what the inputs' changes since the last call require; return the windows.

        Takes up to ``most`` changed minutes into account. Raises StorageFull or StoreUnavailable.
        """

    async def settle(self, names: Sequence[str]) -> None:
        """Forget the changes that all derivations of these names have taken into account."""

    async def unpublished(self, most: int) -> list[Unpublished]:
        """Return the first derived insights that the event log has not received yet."""

    async def published(self, number: int) -> None:
        """Note that the event log has received all derived insights up to this one."""


class AuditStore(Protocol):
    """Counts by hand; every method may raise StoreUnavailable."""

    async def write_audit(self, audit: CountAudit) -> None:
        """Add a count by hand. Raises StorageFull or StoreUnavailable."""

    async def audits(self) -> list[CountAudit]:
        """Return the latest counts by hand, the last one first."""


class SiteStore(ExpiringStore, FigureStore, PagedStore, DerivingStore, AuditStore, Protocol):
    """The insight store of a site: insights, the figures of them, and what follows from them."""


class AlertStore(Protocol):
    """The list of alerts, with what silences them.

    Every method raises StoreUnavailable when the store does not answer, writes also StorageFull.
    """

    async def change(self, query: BoardQuery, decide: Decide) -> BoardChange:
        """Store what ``decide`` makes of the selected notices; return that.

        One change at a time, also of several processes; it is durable when this returns.
        """

    async def notices(
        self, state: NoticeState | None, since: Instant | None, limit: int, cursor: str | None
    ) -> NoticePage:
        """Return notices raised at or after ``since``, newest first. ValueError: bad cursor."""

    async def deliveries(self, alert_id: str) -> list[NoticeDelivery] | None:
        """Return the deliveries of a notice in order; None if there is no such notice."""

    async def controls(self) -> Controls:
        """Return what silences notices."""

    async def control(self, change: Mute | Arming) -> None:
        """Replace the mute of the same rule and subject, or whether alerts are armed."""


class AlertOutbox(Protocol):
    """The deliveries that wait for their channels, each channel in order.

    Every method raises StoreUnavailable when the store does not answer, writes also StorageFull.
    """

    async def take(
        self, channel: str, member: str, now: Instant, lease_s: float, most: int
    ) -> list[Outgoing]:
        """Return the first deliveries that are due on a channel, in the order of their creation.

        If there are any, no other member is given any of that channel for ``lease_s``.
        """

    async def settle(self, deliveries: Sequence[NoticeDelivery]) -> None:
        """Replace deliveries by their new states."""

    async def dead_letters(self, most: int) -> list[Outgoing]:
        """Return the latest deliveries that were given up."""

    async def retry(self, delivery_ids: Collection[str] | None, at: Instant) -> int:
        """Let deliveries that were given up wait again, all without ids; return how many."""

    async def expire(self, before: Instant, most: int) -> int:
        """Delete up to ``most`` closed notices older than ``before``, with their deliveries."""


class AlertChannel(Protocol):
    """A way out of the house for notices: a webhook, a chat, a broker."""

    async def tend(self) -> None:
        """Keep the connection, if there is one; called every few seconds. Raises DeliveryFailed."""

    async def send(self, outgoing: Outgoing) -> None:
        """Deliver a message; it has arrived when this returns.

        Raises DeliveryFailed: the same delivery is sent again later, under the same id. Raises
        DeliveryRefused: the receiver will never take this one.
        """

    async def close(self) -> None:
        """Release the connection; idempotent."""


class AccountStore(Protocol):
    """Users of the web. Every method raises StoreUnavailable or StorageFull."""

    async def users(self) -> Sequence[User]:
        """Return all users, by name."""

    async def find_user(
        self, *, name: str | None = None, user_id: str | None = None, subject: str | None = None
    ) -> User | None:
        """Return the user with this name, id or subject."""

    async def add_user(self, user: User, *, only_first: bool = False) -> bool:
        """Add a user; False if the name or subject is taken.

        With ``only_first`` also False if there is a user already.
        """

    async def change_user(self, user: User, *, keeps_role: str) -> bool:
        """Replace the record of a user; end the user's sessions.

        False, without a change, if the last enabled user with ``keeps_role`` would lose it, or if
        there is no such user or the new name is taken.
        """


class SessionStore(Protocol):
    """Sessions of users in browsers. Every method raises StoreUnavailable or StorageFull."""

    async def start(self, session: SessionRecord, *, forget_before: Instant) -> None:
        """Store a session; delete those that began before an instant."""

    async def find(self, digest: str) -> tuple[SessionRecord, User] | None:
        """Return a session and its user, also if it has expired."""

    async def touch(self, digest: str, seen_at: Instant) -> None:
        """Record when a session was last used."""

    async def end(self, digest: str) -> None:
        """Delete a session; idempotent."""

    async def end_all(self, user_id: str, *, but: str = "") -> None:
        """Delete all sessions of a user, but one."""


class TokenStore(Protocol):
    """API tokens. Every method raises StoreUnavailable or StorageFull."""

    async def add(self, token: TokenRecord) -> None:
        """Store a token."""

    async def find(self, digest: str) -> tuple[TokenRecord, User] | None:
        """Return a token and its user, also if it is no longer valid."""

    async def tokens(self, user_id: str | None = None) -> Sequence[TokenRecord]:
        """Return the tokens of a user, or of all; the newest first."""

    async def touch(self, token_id: str, used_at: Instant) -> None:
        """Record when a token was last used."""

    async def revoke(self, token_id: str, at: Instant) -> bool:
        """Revoke a token; False if there is none, or if it was revoked before."""


class OneTimeStore(Protocol):
    """Secrets that are accepted once. Every method raises StoreUnavailable or StorageFull."""

    async def keep(self, secret: OneTimeSecret, now: Instant, *, at_most: int) -> None:
        """Store a secret, delete expired ones, and the oldest beyond a number of this purpose."""

    async def find(self, digest: str, purpose: Purpose, now: Instant) -> OneTimeSecret | None:
        """Return a secret that is still valid, without using it up."""

    async def take(self, digest: str, purpose: Purpose, now: Instant) -> OneTimeSecret | None:
        """Return a secret that is still valid, once: of two callers at most one gets it."""

    async def server_key(self, name: str, made: bytes) -> bytes:
        """Return the key of this name; the first one given is kept."""


class LoginFailureStore(Protocol):
    """Counts failed logins by key. Every method raises StoreUnavailable or StorageFull."""

    async def attempt(
        self,
        keys: Sequence[str],
        now: Instant,
        wait_s: Callable[[Mapping[str, FailedLogins]], float],
    ) -> float:
        """Count a failure for each key unless ``wait_s`` of those so far is positive; return it.

        Atomic: attempts at the same time are counted one after the other.
        """

    async def succeed(self, clear: Sequence[str], undo: Sequence[str]) -> None:
        """Delete the count of some keys, and take one failure from others."""


class Sample(NamedTuple):
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


class HealthFacts(Protocol):
    """The metrics of the services that run."""

    async def read(self) -> list[Sample]:
        """Return the values of the metrics that alerts are about.

        Of the services that answer; raises ServerUnavailable if none does.
        """


class NameBook(Protocol):
    """The names of enrolled people, for channels that may tell them."""

    async def name_of(self, customer_id: CustomerId) -> str | None:
        """Return a person's name, if there is one. Raises StoreUnavailable."""
