"""What the services need from the world, as protocols of at most five methods.

An adapter translates its vendor's exceptions into those of ``trinetra.errors``. Every adapter of a
port passes the same suite in ``tests/contracts``.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trinetra.events.customers import CustomerChange, NumberedChange, People
from trinetra.events.erasure import Acknowledgement, Erasure, ErasureStatus
from trinetra.events.schema import InsightEvent, Visit
from trinetra.events.topics import Topic
from trinetra.values import (
    CameraId,
    CustomerId,
    Detections,
    Embedding,
    Faces,
    FaceVectors,
    Frame,
    GalleryEntry,
    GalleryMatch,
    ImageBgr,
    Instant,
    YuvPlanes,
)


class Clock(Protocol):
    """Time as the services see it; tests put in their own."""

    def now(self) -> Instant:
        """Return the current UTC instant."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never steps back."""

    async def sleep(self, seconds: float) -> None:
        """Return after the given time on this clock."""


class DecodedFrame(Protocol):
    """A frame as a source decoded it, still in the source's own memory layout."""

    @property
    def captured_at(self) -> Instant:
        """The instant of capture, as well as the source knows it."""

    @property
    def width(self) -> int:
        """Native width in pixels."""

    @property
    def height(self) -> int:
        """Native height in pixels."""

    def planes(self, width: int, height: int) -> YuvPlanes:
        """Return the picture scaled to ``width x height``, in JPEG's colours."""

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the brightness scaled to ``(height, width)``; cheap, for motion."""


class FrameSource(Protocol):
    """One camera, file or folder of images. It blocks: the ingestor gives it a thread."""

    def open(self) -> None:
        """Connect; raises SourceUnavailable or SourceRefused."""

    def read(self, *, key_frames_only: bool) -> DecodedFrame | None:
        """Return the next frame, or None where a file has ended.

        Raises SourceStalled when nothing arrives in time, SourceUnavailable when the connection
        breaks, FrameRejected when this one frame is unusable and the next may be good.
        """

    def close(self) -> None:
        """Release the connection; may be called more than once."""


@dataclass(frozen=True, slots=True)
class BufferedFrame:
    """A frame handed to one consumer, to be acknowledged by its ``entry_id``."""

    entry_id: str
    frame: Frame


class FrameBuffer(Protocol):
    """A bounded stream of frames per camera, shared by one group of competing consumers.

    Every method raises BufferUnavailable when the buffer does not answer.
    """

    async def append(self, frame: Frame) -> int:
        """Add a frame; return how many old ones were dropped to stay within the bound."""

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, fairly over cameras; wait for the first only."""

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Declare frames done; they are never delivered again."""

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that another consumer has held for ``idle_s`` without acknowledging."""

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera wait or are held unacknowledged."""


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes bound for a topic; records of one key keep their order.

    ``partition`` follows from the key unless it is given: state goes where its input came from. A
    value of None deletes the key from a compacted topic.
    """

    topic: Topic
    key: str
    value: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as one subscriber of a group receives it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition has been read, and what came of it.

    ``next_offset`` is None for what came of no record: the group stays where it is.
    """

    where: TopicPartition
    next_offset: int | None
    outputs: Sequence[Record] = ()


def read_up_to(deliveries: Iterable[Delivery]) -> list[Progress]:
    """Return the progress of who has read these records and made nothing of them."""
    ends = {(d.topic, d.partition): d.offset + 1 for d in deliveries}
    return [Progress(where, next_offset) for where, next_offset in ends.items()]


class Subscription(Protocol):
    """One member of a consumer group, owning some partitions of its topics."""

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records of the owned partitions, each partition in order.

        Raises EventLogUnavailable; poll again later.
        """

    def assignment(self) -> Mapping[TopicPartition, int]:
        """Return the partitions owned since the last poll, each with the number of its assignment.

        A number that rose, or is new, means: restore what is known of the partition from its state,
        for it was someone else's, or what this member last committed may have failed. By then no
        earlier owner can commit to it any more.
        """

    async def commit(self, progress: Sequence[Progress]) -> None:
        """Per partition, atomically append its outputs and move the group on.

        After a crash before this returns, a partition's records are delivered again and none of its
        outputs is visible, or all of it is done. Raises PartitionsLost with the partitions for
        which nothing was done; it was for all others. A log may put all partitions of a commit in
        one transaction, and then loses all of them together.
        """

    async def lag(self) -> int:
        """Return how many records of the owned partitions are not yet committed."""

    async def close(self) -> None:
        """Leave the group; uncommitted records go to another member."""


class TopicReader(Protocol):
    """A reader of whole topics, outside of any group: it owns nothing and commits nothing."""

    async def poll(self, *, max_records: int, wait_s: float) -> list[Delivery]:
        """Return the next records, each partition in order; waits for the first only.

        Raises EventLogUnavailable; poll again later.
        """

    async def lag(self) -> int:
        """Return how many committed records are still to be read."""

    async def close(self) -> None:
        """Stop reading; may be called more than once."""


class EventLog(Protocol):
    """A durable, partitioned log."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records; returning means acknowledged. Raises EventLogUnavailable."""

    async def subscribe(self, topics: Sequence[Topic], group: str) -> Subscription:
        """Join a consumer group, from the group's committed offsets or from the beginning."""

    async def latest(self, topic: Topic, partition: int) -> dict[str, bytes]:
        """Return the last value of every key of a compacted topic's partition; deleted ones not.

        Sees every commit that returned before. Raises EventLogUnavailable.
        """

    async def open_reader(self, topics: Sequence[Topic], *, since: Instant) -> TopicReader:
        """Read all partitions of topics from the first record appended at or after ``since``.

        Only what is committed is seen. Raises EventLogUnavailable.
        """


class Engine(Protocol):
    """A loaded network that maps one batch tensor to its output tensors."""

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs, in the manifest's order, for an input ``(n, channels, h, w)``.

        Raises EngineFailure.
        """


class Detector(Protocol):
    """Finds people and vehicles."""

    def detect(self, images: Sequence[ImageBgr]) -> list[Detections]:
        """Return the objects of each image, in that image's pixels."""


class FaceReader(Protocol):
    """Finds faces, and turns aligned ones into embeddings."""

    def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
        """Return the faces of each image, in that image's pixels."""

    def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
        """Return the embeddings of aligned ``112 x 112`` faces."""


@dataclass(frozen=True, slots=True)
class Template:
    """One face of an enrolled person, as one model version read it."""

    model: str
    entry: GalleryEntry


class Gallery(Protocol):
    """The embeddings of one model version, searchable by cosine similarity."""

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return for each embedding its ``k`` nearest, best first. Raises GalleryUnavailable."""

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Add or replace entries by ``entry_id``; returning means durable."""

    async def delete(self, customer_id: CustomerId) -> int:
        """Remove every entry of an identity; return how many there were."""

    async def delete_expired(self, now: Instant) -> int:
        """Remove entries whose ``expires_at`` is not after ``now``; return how many."""

    async def count(self) -> int:
        """Return the number of entries."""


class PurgeableGallery(Gallery, Protocol):
    """A gallery that can be asked to keep no trace of what was deleted."""

    async def purge(self) -> bool:
        """Leave no byte of what was deleted in the files; return whether that is so.

        False where files are a server's own business. Raises GalleryUnavailable.
        """


class GalleryArchive(PurgeableGallery, Protocol):
    """A gallery that can be read as a whole, to move it elsewhere."""

    def entries(self, batch_size: int) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; what changes meanwhile may be in it or not.

        Raises GalleryUnavailable.
        """


class CustomerLog(Protocol):
    """Who is whom: people the shop knows, identities that are one person, people to forget.

    A numbered sequence of changes, with the faces of who was enrolled. Every method raises
    StoreUnavailable when the book does not answer.
    """

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Add changes in order, and faces, all or none; a ``change_id`` is added but once.

        Raises CustomerConflict for a change that contradicts those before it.
        """

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        """Return changes with a number above ``after``, in order."""

    async def templates(self, model: str) -> list[GalleryEntry]:
        """Return the faces of enrolled people that a model version read."""

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Delete everything about somebody and put ``change``, which names nobody, in its place.

        Return how many changes and faces that were.
        """

    async def reached(self, reader: str, number: int = 0) -> int:
        """Note that a reader has acted on all changes up to a number; return the furthest noted."""


class ErasureTarget(Protocol):
    """Keeps records of people that name them by id, beside the gallery and the database."""

    async def forget(self, ids: Sequence[CustomerId]) -> Mapping[str, int]:
        """Delete what is kept of a person; return how many of what. May be called again."""


class ErasureStore(Protocol):
    """Where the forgetting of people is asked for, and where everybody says that it is done.

    Every method raises StoreUnavailable when the desk does not answer.
    """

    async def request(self, ids: Sequence[CustomerId], at: Instant) -> ErasureStatus:
        """Forget a person here, in the book and among the insights, and have all others do so.

        From when this returns, nothing brings the ids back. Asked again, it is the same request.
        """

    async def heartbeat(self, member: str, at: Instant) -> list[Erasure]:
        """Note that a process is there; return what it has to confirm."""

    async def acknowledge(self, number: int, share: Acknowledgement) -> None:
        """Note that a process did its share; when it was the last one, the ids are forgotten."""

    async def find(self, customer_id: CustomerId, at: Instant) -> ErasureStatus | None:
        """Return the erasure of somebody, with who is awaited then, if it was ever asked for."""

    async def deregister(self, member: str) -> None:
        """Note that a process ends in order: nobody has to wait for it."""


class InsightStore(Protocol):
    """What the insight engine has found out, kept for queries."""

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by ``event_id``; returning means durable.

        Raises StorageFull or StoreUnavailable.
        """

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order."""

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under this very id."""

    async def know(self, people: People) -> None:
        """Take note of who is whom; what a call knew of more changes said stands.

        Nothing recorded is rewritten: an undone merge leaves no trace.
        """

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        """Return the visits of people that ended in ``[start, end)``, in that order.

        What was recorded under several ids of one person is told as that person's; visits of them
        are one where at most ``gap_s`` lies between.
        """


class ExpiringStore(InsightStore, Protocol):
    """An insight store that forgets what is too old; every method may raise StoreUnavailable."""

    async def records_of(self, ids: Sequence[CustomerId]) -> list[InsightEvent]:
        """Return all that was recorded under these very ids, in the order of capture."""

    async def expire(self, before: Instant, most: int) -> int:
        """Delete insights older than that, ``most`` of each kind at once; return how many."""
