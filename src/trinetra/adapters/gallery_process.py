"""The child process of the embedded gallery: the Qdrant engine behind a pair of pipes.

The engine holds the GIL on every call, and building its index stalls every thread, so it lives
alone in this process: ``python -m trinetra.adapters.gallery_process``, requests on standard input,
replies on standard output. It ends when its parent closes the pipe or dies.
"""

import errno
import fcntl
import hashlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import msgspec
import numpy as np
import qdrant_edge as qdrant

from trinetra.adapters.gallery_protocol import (
    Close,
    Count,
    DeleteCustomer,
    DeleteExpired,
    Done,
    Failed,
    Failure,
    Found,
    GalleryTuning,
    Match,
    Open,
    Reply,
    Request,
    Search,
    StoredPoint,
    Upsert,
    framed,
    request_decoder,
    take_frames,
)

Numbered = tuple[int, Request]
"""A request with its number, which goes back with the reply."""

_LOCK_FILE = "lock"
_SHARD_FOLDER = "shard"
_READ_BYTES = 1 << 20
_BYTES_PER_VALUE = 4
_KIB = 1024
# Opening and deleting write little, and a delete is what helps when the disk is full.
_SMALL_SHARE_OF_RESERVE = 8
_PAYLOAD_INDEXES = {
    "customer_id": qdrant.PayloadSchemaType.Keyword,
    "kind": qdrant.PayloadSchemaType.Keyword,
    "expires_at_us": qdrant.PayloadSchemaType.Integer,
}
_PAYLOAD_OF_A_MATCH = ["entry_id", "customer_id", "kind"]


class Refusal(Exception):
    """A request that cannot be carried out, with the reason to send back."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure


def point_id(entry_id: str) -> UUID:
    """Return the engine's id of an entry: the engine takes only integers and UUIDs."""
    return UUID(bytes=hashlib.blake2b(entry_id.encode(), digest_size=16).digest())


def engine_config(dimension: int, tuning: GalleryTuning) -> qdrant.EdgeConfig:
    """Return a cosine HNSW index over int8 codes, with the float32 vectors kept for rescoring."""
    kib_per_point = dimension * _BYTES_PER_VALUE / _KIB
    return qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Cosine),
        hnsw_config=qdrant.HnswIndexConfig(
            m=tuning.m, ef_construct=tuning.ef_construct, full_scan_threshold=1_000
        ),
        quantization_config=qdrant.ScalarQuantizationConfig(
            type=qdrant.ScalarType.Int8, quantile=0.99, memory=qdrant.Memory.Pinned
        ),
        optimizers=qdrant.EdgeOptimizersConfig(
            default_segment_number=1,
            # Just below the step, so that a step is never left un-indexed by rounding.
            indexing_threshold=max(1, int(0.9 * tuning.index_after * kib_per_point)),
            max_segment_size=max(1, int(tuning.segment_points * kib_per_point)),
        ),
    )


class Shard:
    """One folder of points, by the engine; every method may raise Refusal."""

    def __init__(self, folder: Path, dimension: int, tuning: GalleryTuning) -> None:
        self._folder = folder
        self._tuning = tuning
        self._params = qdrant.SearchParams(
            hnsw_ef=tuning.ef_search,
            quantization=qdrant.QuantizationSearchParams(
                rescore=True, oversampling=tuning.oversampling
            ),
        )
        self._require_space(tuning.reserve_bytes // _SMALL_SHARE_OF_RESERVE)
        self._engine = self._load(dimension)
        self._create_missing_payload_indexes()
        info = self._engine.info()
        self.unindexed = info.points_count - info.indexed_vectors_count

    def _load(self, dimension: int) -> qdrant.EdgeShard:
        shard_folder = self._folder / _SHARD_FOLDER
        shard_folder.mkdir(mode=0o700, exist_ok=True)
        try:
            return qdrant.EdgeShard.load(str(shard_folder), engine_config(dimension, self._tuning))
        except Exception as cause:
            failure = Failure.UNREADABLE
            if "incompatible with existing segments" in str(cause):
                failure = Failure.INCOMPATIBLE
            raise Refusal(failure, str(cause)) from cause

    def _create_missing_payload_indexes(self) -> None:
        for field in _PAYLOAD_INDEXES.keys() - self._engine.info().payload_schema.keys():
            self._update(qdrant.UpdateOperation.create_field_index(field, _PAYLOAD_INDEXES[field]))

    def search(self, searches: Sequence[Search]) -> list[Found]:
        """Return the matches of several searches, run as one batch of the engine."""
        queries = [
            self._query(vector, search.k) for search in searches for vector in search.vectors
        ]
        try:
            scored = iter(self._engine.query_batch(qdrant.QueryBatchRequest(queries)))
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the search failed: {cause}") from cause
        return [Found([_matches(next(scored)) for _ in search.vectors]) for search in searches]

    def _query(self, vector: bytes, k: int) -> qdrant.QueryRequest:
        return qdrant.QueryRequest(
            limit=k,
            query=qdrant.Query.Nearest(_floats(vector)),
            with_payload=_PAYLOAD_OF_A_MATCH,
            params=self._params,
        )

    def upsert(self, points: Sequence[StoredPoint]) -> int:
        """Add or replace points; when this returns they are in the write-ahead log."""
        self._require_space(self._tuning.reserve_bytes)
        self._update(qdrant.UpdateOperation.upsert_points([_engine_point(p) for p in points]))
        self.unindexed += len(points)
        return len(points)

    def delete_customer(self, customer_id: str) -> int:
        """Remove every point of a customer and return how many there were."""
        return self._delete(
            qdrant.FieldCondition("customer_id", match=qdrant.MatchValue(customer_id))
        )

    def delete_expired(self, now_us: int) -> int:
        """Remove the points that expired at or before ``now_us`` and return how many."""
        return self._delete(
            qdrant.FieldCondition("expires_at_us", range=qdrant.RangeFloat(lte=float(now_us)))
        )

    def _delete(self, condition: qdrant.FieldCondition) -> int:
        doomed = qdrant.Filter(must=[condition])
        number = self.count(doomed)
        if number:
            self._require_space(self._tuning.reserve_bytes // _SMALL_SHARE_OF_RESERVE)
            self._update(qdrant.UpdateOperation.delete_points_by_filter(doomed))
        return number

    def count(self, condition: qdrant.Filter | None = None) -> int:
        """Return the number of points, of those that meet the condition if there is one."""
        try:
            return int(self._engine.count(qdrant.CountRequest(exact=True, filter=condition)))
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the count failed: {cause}") from cause

    def flush(self) -> None:
        """Bring everything to the disk itself, and shorten the write-ahead log."""
        self._engine.flush()

    def index(self) -> None:
        """Index what is not indexed yet, unless the disk is too full for the copies it makes."""
        if self._free_bytes() > self._tuning.reserve_bytes:
            self._engine.optimize()
            self._engine.flush()  # until then the old segments stay on disk and come back
        self.unindexed = 0

    def close(self) -> None:
        """Flush and release the folder."""
        self._engine.flush()
        self._engine.close()

    def _update(self, operation: qdrant.UpdateOperation) -> None:
        try:
            self._engine.update(operation)
        except Exception as cause:
            full = "No space left" in str(cause)
            raise Refusal(
                Failure.STORAGE_FULL if full else Failure.REFUSED, f"the write failed: {cause}"
            ) from cause

    def _require_space(self, bytes_: int) -> None:
        free = self._free_bytes()
        if free < bytes_:
            raise Refusal(
                Failure.STORAGE_FULL,
                f"{free >> 20} MiB are free and {bytes_ >> 20} MiB are kept in reserve",
            )

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free


def _engine_point(point: StoredPoint) -> qdrant.Point:
    payload = {
        "entry_id": point.entry_id,
        "customer_id": point.customer_id,
        "kind": point.kind,
        "quality": point.quality,
        "first_seen_us": point.first_seen_us,
        "last_seen_us": point.last_seen_us,
        "consent": point.consent,
    }
    if point.expires_at_us is not None:
        payload["expires_at_us"] = point.expires_at_us
    return qdrant.Point(point_id(point.entry_id), _floats(point.vector), payload)


def _floats(vector: bytes) -> list[float]:
    values: list[float] = np.frombuffer(vector, "<f4").tolist()
    return values


def _matches(scored: Sequence[qdrant.ScoredPoint]) -> list[Match]:
    return [
        Match(**(point.payload or {}), cosine=max(-1.0, min(1.0, point.score))) for point in scored
    ]


class Server:
    """Answers requests one after the other, and keeps the shard in order between them."""

    def __init__(
        self, shard: Shard, tuning: GalleryTuning, requests: "RequestPipe", reply_fd: int
    ) -> None:
        self._shard = shard
        self._tuning = tuning
        self._requests = requests
        self._reply_fd = reply_fd
        self._last_request_at = time.monotonic()
        self._flush_at: float | None = None

    def run(self) -> None:
        """Serve until the parent says Close or is gone."""
        while (requests := self._requests.read(self._seconds_to_next_duty())) is not None:
            if requests:
                self._last_request_at = time.monotonic()
            for is_search, group in groupby(requests, lambda r: isinstance(r[1], Search)):
                if is_search:
                    self._search(list(group))
                elif self._carry_out_all(group):
                    return
            self._do_duties()
        self._shard.close()

    def _search(self, requests: list[Numbered]) -> None:
        searches = [request for _, request in requests if isinstance(request, Search)]
        replies: Sequence[Reply]
        try:
            replies = self._shard.search(searches)
        except Refusal as refusal:
            replies = [Failed(refusal.failure, str(refusal))] * len(searches)
        numbers = (number for number, _ in requests)
        send(self._reply_fd, list(zip(numbers, replies, strict=True)))

    def _carry_out_all(self, requests: Iterable[Numbered]) -> bool:
        """Answer each request; return True after Close."""
        for number, request in requests:
            if isinstance(request, Close):
                self._shard.close()
                send(self._reply_fd, [(number, Done(0))])
                return True
            send(self._reply_fd, [(number, self._carry_out(request))])
        return False

    def _carry_out(self, request: Request) -> Reply:
        try:
            return Done(self._number_of(request))
        except Refusal as refusal:
            return Failed(refusal.failure, str(refusal))

    def _number_of(self, request: Request) -> int:
        match request:
            case Upsert(points=points):
                self._flush_soon()
                return self._shard.upsert(points)
            case DeleteCustomer(customer_id=customer_id):
                self._flush_soon()
                return self._shard.delete_customer(customer_id)
            case DeleteExpired(now_us=now_us):
                self._flush_soon()
                return self._shard.delete_expired(now_us)
            case Count():
                return self._shard.count()
            case _:
                raise Refusal(Failure.REFUSED, f"{type(request).__name__} is out of place here")

    def _flush_soon(self) -> None:
        if self._flush_at is None:
            self._flush_at = time.monotonic() + self._tuning.flush_interval_s

    def _index_at(self) -> float | None:
        if self._shard.unindexed >= self._tuning.index_at_latest:
            return self._last_request_at
        if self._shard.unindexed >= self._tuning.index_after:
            return self._last_request_at + self._tuning.idle_s
        return None

    def _seconds_to_next_duty(self) -> float | None:
        duties = [at for at in (self._flush_at, self._index_at()) if at is not None]
        return max(0.0, min(duties) - time.monotonic()) if duties else None

    def _do_duties(self) -> None:
        now = time.monotonic()
        if self._flush_at is not None and self._flush_at <= now:
            self._shard.flush()
            self._flush_at = None
        index_at = self._index_at()
        if index_at is not None and index_at <= now:
            self._shard.index()


class RequestPipe:
    """Requests as they come in over a file descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()

    def read(self, wait_s: float | None) -> list[Numbered] | None:
        """Return what has come within ``wait_s`` (maybe nothing), or None once the pipe ended."""
        ready, _, _ = select.select([self._fd], [], [], wait_s)
        if not ready:
            return []
        chunk = os.read(self._fd, _READ_BYTES)
        if not chunk:
            return None
        self._buffer += chunk
        frames = list(take_frames(self._buffer))
        return [(number, request_decoder.decode(body)) for number, body in frames]

    def read_first(self) -> Numbered | None:
        """Return the first request, or None when the pipe ended before it."""
        while (requests := self.read(None)) is not None:
            if requests:
                return requests[0]
        return None


def send(fd: int, replies: Sequence[tuple[int, Reply]]) -> None:
    """Write numbered replies to a file descriptor."""
    data = memoryview(b"".join(framed(number, reply) for number, reply in replies))
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def locked(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the folder for this process alone; raises Refusal when another keeps it."""
    with (folder / _LOCK_FILE).open("a+") as lock:
        try:
            with _alarm_after(wait_s):
                fcntl.flock(lock, fcntl.LOCK_EX)
        except TimeoutError as cause:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise Refusal(Failure.LOCKED, f"process {owner} has it open") from cause
        lock.truncate(0)
        lock.write(str(os.getppid()))
        lock.flush()
        yield


@contextmanager
def _alarm_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block when it takes longer; a lock has no timeout of its own."""

    def raise_timeout(_signal: int, _frame: object) -> NoReturn:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def serve(requests: RequestPipe, reply_fd: int) -> None:
    """Open the shard the first request names, and answer until the parent is done with it."""
    first = requests.read_first()
    if first is None:
        return
    number, opening = first
    if not isinstance(opening, Open):
        raise TypeError(f"the first message was {type(opening).__name__}, expected Open")
    with ExitStack() as held:
        try:
            shard = _open_shard(held, opening)
        except Refusal as refusal:
            send(reply_fd, [(number, Failed(refusal.failure, str(refusal)))])
            return
        send(reply_fd, [(number, Done(shard.count()))])
        Server(shard, opening.tuning, requests, reply_fd).run()


def _open_shard(held: ExitStack, opening: Open) -> Shard:
    folder = Path(opening.folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.enter_context(locked(folder, opening.lock_wait_s))
        return Shard(folder, opening.dimension, opening.tuning)
    except OSError as cause:
        full = cause.errno == errno.ENOSPC
        failure = Failure.STORAGE_FULL if full else Failure.UNREADABLE
        raise Refusal(failure, str(cause)) from cause


def main() -> None:
    """Run the child process: standard input to standard output."""
    # Ctrl-C and a service manager signal the whole group; only the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reply_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may write among the replies
    try:
        serve(RequestPipe(sys.stdin.fileno()), reply_fd)
    except (BrokenPipeError, msgspec.DecodeError, ValueError) as cause:
        sys.exit(f"the gallery process lost its parent: {cause}")


if __name__ == "__main__":
    main()
