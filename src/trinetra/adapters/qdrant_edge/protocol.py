"""Protocol between the embedded gallery and its child process, over two pipes.

A frame consists of the length of its body, the number of the request (both unsigned 32-bit
little-endian), and the body, a MessagePack message. A reply carries the number of its request.
"""

import struct
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from trinetra.adapters.qdrant.points import StoredPoint

HEADER = struct.Struct("<II")
MAX_BODY_BYTES = 64 << 20


class GalleryTuning(msgspec.Struct, frozen=True, kw_only=True):
    """Index, search and storage parameters; the defaults suit up to a few 100,000 entries.

    Indexing blocks every search in the child, so it runs in small steps: once ``index_after``
    points are not indexed and no request has come for ``idle_s``, and at ``index_at_latest`` in any
    case. Until then these points are scanned, which is exact and takes about 1 ms at 10,000.
    ``segment_points`` bounds one step.

    Killing any process loses nothing that was acknowledged; a power failure loses at most the
    writes of the last ``flush_interval_s``. Upserts are refused below ``reserve_bytes`` of free
    disk, opening and deletes below an eighth of that, since the engine's memory-mapped files cannot
    report a full disk: the process would be killed by SIGBUS.

    Deleted data stays on disk for ``purge_after_s``, and then until no request has come for
    ``idle_s``, but for no more than twice ``purge_after_s``. Then the files are rewritten without
    it, in small steps between requests; on a full disk that is retried after ``purge_retry_s``.
    """

    m: int = 16
    ef_construct: int = 128
    ef_search: int = 128
    oversampling: float = 2.0
    index_after: int = 2_000
    index_at_latest: int = 10_000
    segment_points: int = 20_000
    idle_s: float = 1.0
    flush_interval_s: float = 1.0
    purge_after_s: float = 86_400.0
    purge_retry_s: float = 3_600.0
    reserve_bytes: int = 256 << 20


class Failure(StrEnum):
    """The reason why the child could not execute a request."""

    LOCKED = "locked"
    INCOMPATIBLE = "incompatible"
    UNREADABLE = "unreadable"
    STORAGE_FULL = "storage_full"
    REFUSED = "refused"


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A request or a reply."""


class Open(Message, frozen=True):
    """Open or create the shard in ``folder``; must be the first request; answered by Done."""

    folder: str
    dimension: int
    tuning: GalleryTuning
    lock_wait_s: float


class Search(Message, frozen=True):
    """Find the ``k`` nearest points of each vector; answered by Found."""

    k: int
    vectors: list[bytes]


class Upsert(Message, frozen=True):
    """Insert or replace points by entry id; answered by Done with their number."""

    points: list[StoredPoint]


class DeleteCustomer(Message, frozen=True):
    """Delete every point of a customer; answered by Done with their number."""

    customer_id: str


class DeleteExpired(Message, frozen=True):
    """Delete the points that expired at or before ``now_us``; answered by Done."""

    now_us: int


class Purge(Message, frozen=True):
    """Remove every byte of deleted points from the files; answered by Done with the points left."""


class Count(Message, frozen=True):
    """Count the points; answered by Done."""


class Scroll(Message, frozen=True):
    """Read up to ``limit`` points in the order of their ids, from ``start``; answered by Page."""

    start: str | None
    limit: int


class Get(Message, frozen=True):
    """Read the points of these entries, as far as they exist; answered by one Page."""

    entry_ids: list[str]


class Close(Message, frozen=True):
    """Flush, release the folder and exit; answered by Done."""


class Match(msgspec.Struct, frozen=True, array_like=True):
    """One point near a searched vector."""

    entry_id: str
    customer_id: str
    kind: str
    cosine: float
    first_seen_us: int


class Found(Message, frozen=True):
    """The matches of each searched vector, best first."""

    matches: list[list[Match]]


class Page(Message, frozen=True):
    """Some points, and the id where the next page starts, if there is one."""

    points: list[StoredPoint]
    next_start: str | None


class Done(Message, frozen=True):
    """The request was executed on ``number`` points."""

    number: int


class Failed(Message, frozen=True):
    """The request was not executed."""

    failure: Failure
    reason: str


Request = (
    Open | Search | Upsert | DeleteCustomer | DeleteExpired | Purge | Count | Scroll | Get | Close
)
Reply = Found | Page | Done | Failed

_encoder = msgspec.msgpack.Encoder()
request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def framed(number: int, message: Message) -> bytes:
    """Return the message as a frame for the pipe."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body), number) + body


def parse_header(header: bytes | bytearray) -> tuple[int, int]:
    """Return body length and request number. Raises ValueError for an impossible length."""
    length, number = HEADER.unpack(header)
    if not 0 < length <= MAX_BODY_BYTES:
        raise ValueError(f"a message of {length} bytes does not belong to this protocol")
    return length, number


def take_frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove complete frames from the front of ``buffer``; yield request number and body."""
    while len(buffer) >= HEADER.size:
        length, number = parse_header(buffer[: HEADER.size])
        end = HEADER.size + length
        if len(buffer) < end:
            return
        yield number, bytes(buffer[HEADER.size : end])
        del buffer[:end]
