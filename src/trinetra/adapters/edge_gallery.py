"""The embedded gallery: the Qdrant engine in a supervised child process.

A killed child is started again; what was acknowledged is still there. While it is away every
request fails at once with GalleryUnavailable, so the resolver can go on with unknown identities.
"""

import asyncio
import hashlib
import itertools
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from trinetra.adapters.gallery_protocol import (
    HEADER,
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
    microseconds,
    pack_vector,
    parse_header,
    reply_decoder,
)
from trinetra.errors import ConfigurationError, GalleryUnavailable, StorageFull, TrinetraError
from trinetra.telemetry import get_logger
from trinetra.values import (
    CustomerId,
    Embedding,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
)

_CHILD_MODULE = "trinetra.adapters.gallery_process"
_POINTS_PER_MESSAGE = 256
_STDERR_BYTES = 4096
_STDERR_LINES = 3

R = TypeVar("R", Found, Done)
S = TypeVar("S")

log = get_logger("gallery")


@dataclass(frozen=True, slots=True)
class GalleryTimeouts:
    """How long the parent waits for its child, in seconds.

    ``request_s`` must exceed one indexing step (about 1 s). A child that has been silent for
    ``hung_s`` while something was asked of it is killed and started again. Restarts wait from
    ``backoff_first_s``, doubling up to ``backoff_most_s``.
    """

    open_s: float = 60.0
    lock_s: float = 5.0
    request_s: float = 10.0
    close_s: float = 30.0
    hung_s: float = 60.0
    backoff_first_s: float = 0.1
    backoff_most_s: float = 10.0

    def backoff_s(self, attempts: int) -> float:
        """Return how long to wait before the next start, after ``attempts`` that did not last."""
        if not attempts:
            return 0.0
        return float(min(self.backoff_most_s, self.backoff_first_s * 2 ** min(attempts - 1, 32)))


def collection_folder(root: Path, model_version: str) -> Path:
    """Return the folder of one embedding model version; distinct versions never share one."""
    slug = re.sub(r"[^a-z0-9.-]+", "_", model_version.lower()).strip("._-")[:48]
    digest = hashlib.blake2b(model_version.encode(), digest_size=4).hexdigest()
    return root / f"{slug or 'model'}-{digest}"


class EdgeGallery:
    """A Gallery on disk, in its own process; make one with ``open``."""

    def __init__(
        self, folder: Path, dimension: int, tuning: GalleryTuning, timeouts: GalleryTimeouts
    ) -> None:
        self._folder = folder
        self._dimension = dimension
        self._timeouts = timeouts
        self._opening = Open(str(folder), dimension, tuning, timeouts.lock_s)
        self._child: _Child | None = None
        self._ready = asyncio.Event()
        self._absence = "it was not opened"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        model_version: str,
        dimension: int,
        tuning: GalleryTuning | None = None,
        timeouts: GalleryTimeouts | None = None,
    ) -> AsyncIterator["EdgeGallery"]:
        """Open or create the collection of one embedding model version under ``path``.

        Raises ConfigurationError when another process has it open or its vectors have another
        dimension, GalleryUnavailable when it cannot be read, StorageFull when it has no room.
        """
        folder = collection_folder(path, model_version)
        gallery = cls(folder, dimension, tuning or GalleryTuning(), timeouts or GalleryTimeouts())
        await gallery._start_child()
        supervisor = asyncio.create_task(gallery._supervise(), name="gallery-supervisor")
        try:
            yield gallery
        finally:
            supervisor.cancel()
            await asyncio.wait([supervisor])
            await gallery._close_child()
            if not supervisor.cancelled():
                supervisor.result()  # it never returns, so this raises what ended it

    @property
    def process_id(self) -> int | None:
        """The process id of the child, or None while there is none."""
        return self._child.process_id if self._child else None

    async def wait_ready(self) -> None:
        """Return once the gallery answers."""
        await self._ready.wait()

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return for each embedding its ``k`` nearest entries, best first."""
        vectors = [pack_vector(embedding, self._dimension) for embedding in embeddings]
        if not vectors or k < 1:
            return [[] for _ in vectors]
        found = await self._ask(Search(k, vectors), Found)
        return [[_gallery_match(match) for match in matches] for matches in found.matches]

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Add or replace entries by ``entry_id``; once it returns, no kill loses any of them."""
        points = [_stored_point(entry, self._dimension) for entry in entries]
        for start in range(0, len(points), _POINTS_PER_MESSAGE):
            await self._ask(Upsert(points[start : start + _POINTS_PER_MESSAGE]), Done)

    async def delete(self, customer_id: CustomerId) -> int:
        """Remove every entry of an identity; return how many there were."""
        return (await self._ask(DeleteCustomer(customer_id), Done)).number

    async def delete_expired(self, now: Instant) -> int:
        """Remove entries whose ``expires_at`` is not after ``now``; return how many."""
        return (await self._ask(DeleteExpired(microseconds(now)), Done)).number

    async def count(self) -> int:
        """Return the number of entries."""
        return (await self._ask(Count(), Done)).number

    async def _ask(self, request: Request, expected: type[R]) -> R:
        child = self._child
        if child is None:
            raise GalleryUnavailable(f"the gallery {self._folder} is away: {self._absence}")
        return self._checked(await child.ask(request, self._timeouts.request_s), expected)

    def _checked(self, reply: Reply, expected: type[R]) -> R:
        if isinstance(reply, expected):
            return reply
        if not isinstance(reply, Failed):
            raise GalleryUnavailable(f"the gallery {self._folder} answered {reply!r}")
        raise _failure_to_error(reply, self._folder)

    async def _start_child(self) -> None:
        child = await _Child.start(self._folder, self._timeouts.hung_s, self._mark_away)
        try:
            self._checked(await child.ask(self._opening, self._timeouts.open_s), Done)
        except BaseException:  # a cancelled start must not leave a process behind
            await child.kill()
            raise
        self._child = child
        self._ready.set()

    async def _close_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.close(self._timeouts.close_s)
        self._mark_away("it was closed")

    def _mark_away(self, cause: str) -> None:
        self._child, self._absence = None, cause
        self._ready.clear()

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        attempts = 0
        while True:
            if child := self._child:
                born_at = now()
                cause = await child.ended()
                log.warning("the gallery process ended", cause=cause)
                if now() - born_at > self._timeouts.backoff_most_s:
                    attempts = 0
            await asyncio.sleep(self._timeouts.backoff_s(attempts))
            attempts += 1
            await self._try_restart()

    async def _try_restart(self) -> None:
        try:
            await self._start_child()
        except (TrinetraError, OSError) as cause:
            self._mark_away(str(cause))
            log.warning("the gallery process did not start", cause=str(cause))
        else:
            log.info("the gallery answers again", folder=str(self._folder))


class _Child:
    """One run of the child process, and the requests that wait for its replies."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        folder: Path,
        hung_s: float,
        on_end: Callable[[str], None],
    ) -> None:
        self._process = process
        self._on_end = on_end
        self._stdin, self._stdout = _piped(process.stdin), _piped(process.stdout)
        self._folder = folder
        self._hung_s = hung_s
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = itertools.cycle(range(1, 1 << 32))
        self._silent_since: float | None = None
        self._run_task = asyncio.create_task(self._run(), name="gallery-child")

    @classmethod
    async def start(cls, folder: Path, hung_s: float, on_end: Callable[[str], None]) -> "_Child":
        """Start the process, which waits for Open; ``on_end`` is told why it ended.

        That happens before any request fails, so nobody sees the failure and a live gallery.
        """
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _CHILD_MODULE),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            process_group=0,  # a Ctrl-C in the terminal is the parent's to answer
        )
        return cls(process, folder, hung_s, on_end)

    @property
    def process_id(self) -> int:
        """The process id of this run."""
        return self._process.pid

    async def ask(self, request: Request, timeout_s: float) -> Reply:
        """Send a request and return its reply; raises GalleryUnavailable."""
        if self._run_task.done():
            raise GalleryUnavailable(self._run_task.result())
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(framed(number, request))
                return await reply
        except TimeoutError as cause:
            self._kill_if_hung()
            raise GalleryUnavailable(
                f"the gallery {self._folder} did not answer {type(request).__name__} "
                f"within {timeout_s:g} s"
            ) from cause
        finally:
            del self._waiting[number]

    async def ended(self) -> str:
        """Return why the process ended, once it has; every waiting request has failed by then."""
        return await asyncio.shield(self._run_task)

    async def close(self, timeout_s: float) -> None:
        """Let the process flush and exit; kill it when that takes longer."""
        try:
            await self.ask(Close(), timeout_s)
            async with asyncio.timeout(timeout_s):
                await self.ended()
        except (GalleryUnavailable, TimeoutError) as cause:
            log.warning("the gallery did not close in order; nothing is lost", cause=str(cause))
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End the process if it still runs, and wait for its end."""
        self._kill_now()
        await self.ended()

    async def _send(self, frame: bytes) -> None:
        if self._silent_since is None:
            self._silent_since = asyncio.get_running_loop().time()
        with suppress(ConnectionError):  # the process is ending: _run fails the request, with cause
            self._stdin.write(frame)
            await self._stdin.drain()

    async def _run(self) -> str:
        """Hand out replies until the process ends; return why it did."""
        last_words = asyncio.create_task(_tail(_piped(self._process.stderr)))
        complaint = await self._take_replies()
        if complaint:
            self._kill_now()
        code = await self._process.wait()
        self._stdin.close()
        cause = f"{complaint}{_describe_exit(code)}{await last_words}"
        self._on_end(cause)
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(
                    GalleryUnavailable(f"the gallery process of {self._folder} ended: {cause}")
                )
        return cause

    async def _take_replies(self) -> str:
        """Hand out replies until there are no more; return what was wrong with the last one."""
        try:
            while True:
                length, number = parse_header(await self._stdout.readexactly(HEADER.size))
                reply = reply_decoder.decode(await self._stdout.readexactly(length))
                self._hand_out(number, reply)
        except asyncio.IncompleteReadError:
            return ""
        except (ValueError, msgspec.DecodeError) as cause:
            return f"it wrote what is no reply ({cause}); "

    def _hand_out(self, number: int, reply: Reply) -> None:
        others_wait = len(self._waiting) > 1
        self._silent_since = asyncio.get_running_loop().time() if others_wait else None
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _kill_if_hung(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._silent_since is not None and now - self._silent_since >= self._hung_s:
            log.warning("the gallery process is hung and killed", silent_s=now - self._silent_since)
            self._kill_now()

    def _kill_now(self) -> None:
        # Process.kill would reap a process that just ended, and asyncio then miss its exit code.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)


def _piped(stream: S | None) -> S:
    if stream is None:
        raise RuntimeError("the child process was started without pipes")
    return stream


async def _tail(stream: asyncio.StreamReader) -> str:
    """Return the last lines of what a stream said until its end, for an error message."""
    tail = b""
    while chunk := await stream.read(_STDERR_BYTES):
        tail = (tail + chunk)[-_STDERR_BYTES:]
    lines = tail.decode(errors="replace").strip().splitlines()[-_STDERR_LINES:]
    return ": " + " | ".join(lines) if lines else ""


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    # A memory-mapped write that finds no free block is answered by this signal alone.
    return f"{name}, the disk may be full" if -code == signal.SIGBUS else name


def _failure_to_error(failed: Failed, folder: Path) -> TrinetraError:
    match failed.failure:
        case Failure.STORAGE_FULL:
            return StorageFull(
                f"the disk of the gallery {folder} is full: {failed.reason}; free some space"
            )
        case Failure.LOCKED:
            return ConfigurationError(
                f"the gallery {folder} is in use: {failed.reason}; stop that run, or give this one "
                "another data folder"
            )
        case Failure.INCOMPATIBLE:
            return ConfigurationError(
                f"the gallery {folder} was made for another embedding size: {failed.reason}; "
                "give the model a version of its own, or another data folder"
            )
        case Failure.UNREADABLE:
            return GalleryUnavailable(
                f"the gallery {folder} cannot be read: {failed.reason}; move this folder away, or "
                "put a copy of it back, and start again"
            )
        case _:
            return GalleryUnavailable(f"the gallery {folder} refused: {failed.reason}")


def _stored_point(entry: GalleryEntry, dimension: int) -> StoredPoint:
    expires_at = entry.expires_at
    return StoredPoint(
        entry.entry_id,
        entry.customer_id,
        entry.kind,
        pack_vector(entry.embedding, dimension),
        entry.quality,
        microseconds(entry.first_seen),
        microseconds(entry.last_seen),
        None if expires_at is None else microseconds(expires_at),
        entry.consent,
    )


def _gallery_match(match: Match) -> GalleryMatch:
    return GalleryMatch(
        match.entry_id, CustomerId(match.customer_id), IdentityKind(match.kind), match.cosine
    )
