"""Child process of the embedded gallery: the Qdrant engine behind a pair of pipes.

The engine holds the GIL during every call, and building its index stalls every thread, so it has
its own process: ``python -m trinetra.adapters.qdrant_edge.worker``, with requests on standard input
and replies on standard output. It ends when its parent closes the pipe or dies.
"""

import errno
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import NoReturn

import msgspec

from trinetra.adapters.qdrant_edge.engine import Refusal
from trinetra.adapters.qdrant_edge.protocol import (
    Close,
    Count,
    DeleteCustomer,
    DeleteExpired,
    Done,
    Failed,
    Failure,
    GalleryTuning,
    Get,
    Open,
    Purge,
    Reply,
    Request,
    Scroll,
    Search,
    Upsert,
    framed,
    request_decoder,
    take_frames,
)
from trinetra.adapters.qdrant_edge.shard import Shard

Numbered = tuple[int, Request]
"""A request with its number, which is returned with the reply."""

LOCK_FILE = "lock"
_READ_BYTES = 1 << 20


class Server:
    """Answers requests one by one, and flushes, indexes and purges the shard between them."""

    def __init__(
        self, shard: Shard, tuning: GalleryTuning, requests: "RequestPipe", reply_fd: int
    ) -> None:
        self._shard = shard
        self._tuning = tuning
        self._requests = requests
        self._reply_fd = reply_fd
        self._last_request_at = time.monotonic()
        self._flush_at: float | None = None
        self._purges_asked: list[int] = []
        self._purges_under_way: list[int] = []
        self._no_purge_before = 0.0

    def run(self) -> None:
        """Serve until the parent sends Close or is gone."""
        while (requests := self._requests.read(self._seconds_to_next_duty())) is not None:
            if requests:
                self._last_request_at = time.monotonic()
            # Adjacent searches are batched; the order of searches and writes is kept.
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
            if isinstance(request, Purge):
                self._purges_asked.append(number)  # answered when the purge is complete
            else:
                send(self._reply_fd, [(number, self._carry_out(request))])
        return False

    def _carry_out(self, request: Request) -> Reply:
        try:
            if isinstance(request, Scroll):
                return self._shard.scroll(request.start, request.limit)
            if isinstance(request, Get):
                return self._shard.get(request.entry_ids)
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
                raise Refusal(Failure.REFUSED, f"{type(request).__name__} is not expected here")

    def _flush_soon(self) -> None:
        if self._flush_at is None:
            self._flush_at = time.monotonic() + self._tuning.flush_interval_s

    def _index_at(self) -> float | None:
        if self._shard.unindexed >= self._tuning.index_at_latest:
            return self._last_request_at
        if self._shard.unindexed >= self._tuning.index_after:
            return self._last_request_at + self._tuning.idle_s
        return None

    def _purge_at(self) -> float | None:
        if self._shard.is_rewriting or self._purges_asked or self._purges_under_way:
            return 0.0
        deleted_at = self._shard.deleted_at
        if deleted_at is None:
            return None
        wanted_at = time.monotonic() + self._tuning.purge_after_s - (time.time() - deleted_at)
        due_at = max(wanted_at, self._last_request_at + self._tuning.idle_s)
        at_latest = wanted_at + self._tuning.purge_after_s  # in a shop that is never idle
        return max(min(due_at, at_latest), self._no_purge_before)

    def _seconds_to_next_duty(self) -> float | None:
        moments = (self._flush_at, self._index_at(), self._purge_at())
        duties = [at for at in moments if at is not None]
        return max(0.0, min(duties) - time.monotonic()) if duties else None

    def _do_duties(self) -> None:
        now = time.monotonic()
        if self._flush_at is not None and self._flush_at <= now:
            self._shard.flush()
            self._flush_at = None
        index_at = self._index_at()
        if index_at is not None and index_at <= now:
            self._shard.index()
        purge_at = self._purge_at()
        if purge_at is not None and purge_at <= now:
            self._purge()

    def _purge(self) -> None:
        """Do one step of a purge.

        A request that arrives during a purge waits for the next one, because the current one may
        already have copied points that were deleted since.
        """
        if not self._shard.is_rewriting:
            self._purges_under_way += self._purges_asked
            self._purges_asked = []
        try:
            if self._shard.purge_step():
                self._answer_purges(Done(self._shard.count()))
        except Refusal as refusal:
            if refusal.failure is not Failure.STORAGE_FULL and not self._purges_under_way:
                raise
            # Not fatal: upserts are refused for the same reason and report it.
            self._no_purge_before = time.monotonic() + self._tuning.purge_retry_s
            self._answer_purges(Failed(refusal.failure, str(refusal)))

    def _answer_purges(self, reply: Reply) -> None:
        send(self._reply_fd, [(number, reply) for number in self._purges_under_way])
        self._purges_under_way = []


class RequestPipe:
    """Reads requests from a file descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()

    def read(self, wait_s: float | None) -> list[Numbered] | None:
        """Return the requests that arrive within ``wait_s``, or None at the end of the pipe."""
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
        """Return the first request, or None if the pipe ends before it."""
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
    """Lock the folder for this process. Raises Refusal if another holds it for ``wait_s``."""
    with (folder / LOCK_FILE).open("a+") as lock:
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
    """Raise TimeoutError in the block after ``seconds``, because ``flock`` has no timeout.

    The signal interrupts the system call, and the exception keeps Python from retrying it (PEP
    475).
    """

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
    """Open the shard named by the first request, and answer requests until the parent closes it."""
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
    # Ctrl-C and service managers signal the whole group; only the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(0o077)  # the engine's files contain faces: only their owner may read them
    # Replies get a private copy of standard output; anything else that is printed goes to standard
    # error, so that it cannot corrupt the protocol.
    reply_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        serve(RequestPipe(sys.stdin.fileno()), reply_fd)
    except (BrokenPipeError, msgspec.DecodeError, ValueError) as cause:
        sys.exit(f"the gallery process lost its parent: {cause}")


if __name__ == "__main__":
    main()
