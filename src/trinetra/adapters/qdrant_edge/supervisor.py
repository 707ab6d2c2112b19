"""Parent side of one run of the embedded gallery's child process."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from trinetra.adapters.qdrant_edge.protocol import (
    HEADER,
    Close,
    Purge,
    Reply,
    Request,
    framed,
    parse_header,
    reply_decoder,
)
from trinetra.errors import GalleryUnavailable
from trinetra.telemetry import get_logger

_CHILD_MODULE = "trinetra.adapters.qdrant_edge.worker"
_STDERR_BYTES = 4096
_STDERR_LINES = 3

S = TypeVar("S")

log = get_logger("gallery")


class GalleryChild:
    """One run of the child process, and the pending requests."""

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
        self._due_soon: set[int] = set()
        self._silent_since: float | None = None
        self._run_task = asyncio.create_task(self._run(), name="gallery-child")

    @classmethod
    async def start(
        cls, folder: Path, hung_s: float, on_end: Callable[[str], None]
    ) -> "GalleryChild":
        """Start the process, which waits for Open; ``on_end`` is called with the cause of its end.

        It is called before pending requests fail, so that no caller sees a failed request while the
        gallery still counts as available.
        """
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _CHILD_MODULE),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            process_group=0,  # Ctrl-C in the terminal must reach only the parent
        )
        return cls(process, folder, hung_s, on_end)

    @property
    def process_id(self) -> int:
        """The process id of this run."""
        return self._process.pid

    async def ask(self, request: Request, timeout_s: float) -> Reply:
        """Send a request and return its reply. Raises GalleryUnavailable."""
        if self._run_task.done():
            raise GalleryUnavailable(self._run_task.result())
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        if not isinstance(request, Purge):  # a purge is answered only after all files are rewritten
            self._expect_soon(number)
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
            self._due_soon.discard(number)
            del self._waiting[number]

    async def ended(self) -> str:
        """Wait for the process to end; return the cause. All requests have failed by then."""
        return await asyncio.shield(self._run_task)

    async def close(self, timeout_s: float) -> None:
        """Let the process flush and exit; kill it if that takes longer than ``timeout_s``."""
        try:
            await self.ask(Close(), timeout_s)
            async with asyncio.timeout(timeout_s):
                await self.ended()
        except (GalleryUnavailable, TimeoutError) as cause:
            log.warning("the gallery did not close cleanly; nothing is lost", cause=str(cause))
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Kill the process if it still runs, and wait for its end."""
        self._kill_now()
        await self.ended()

    def _expect_soon(self, number: int) -> None:
        self._due_soon.add(number)
        if self._silent_since is None:
            self._silent_since = asyncio.get_running_loop().time()

    async def _send(self, frame: bytes) -> None:
        # On a broken pipe the process is ending, and _run fails the request with the cause.
        with suppress(ConnectionError):
            self._stdin.write(frame)
            await self._stdin.drain()

    async def _run(self) -> str:
        """Dispatch replies until the process ends; return the cause."""
        stderr_tail = asyncio.create_task(_tail(_piped(self._process.stderr)))
        complaint = await self._take_replies()
        if complaint:
            self._kill_now()
        code = await self._process.wait()
        self._stdin.close()
        cause = f"{complaint}{_describe_exit(code)}{await stderr_tail}"
        self._on_end(cause)
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(
                    GalleryUnavailable(f"the gallery process of {self._folder} ended: {cause}")
                )
        return cause

    async def _take_replies(self) -> str:
        """Dispatch replies until the pipe ends; return the error if a reply was invalid."""
        try:
            while True:
                length, number = parse_header(await self._stdout.readexactly(HEADER.size))
                reply = reply_decoder.decode(await self._stdout.readexactly(length))
                self._hand_out(number, reply)
        except asyncio.IncompleteReadError:
            return ""
        except (ValueError, msgspec.DecodeError) as cause:
            return f"it wrote an invalid reply ({cause}); "

    def _hand_out(self, number: int, reply: Reply) -> None:
        others_wait = self._due_soon - {number}
        self._silent_since = asyncio.get_running_loop().time() if others_wait else None
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _kill_if_hung(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._silent_since is not None and now - self._silent_since >= self._hung_s:
            log.warning("killing the hung gallery process", silent_s=now - self._silent_since)
            self._kill_now()

    def _kill_now(self) -> None:
        # Process.kill would reap a process that has just ended, and asyncio would miss its exit
        # code.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)


def _piped(stream: S | None) -> S:
    if stream is None:
        raise RuntimeError("the child process was started without pipes")
    return stream


async def _tail(stream: asyncio.StreamReader) -> str:
    """Read a stream to its end; return its last lines for an error message."""
    tail = b""
    while chunk := await stream.read(_STDERR_BYTES):
        tail = (tail + chunk)[-_STDERR_BYTES:]
    lines = tail.decode(errors="replace").strip().splitlines()[-_STDERR_LINES:]
    return ": " + " | ".join(lines) if lines else ""


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    # A memory-mapped write that finds no free block has no other way to fail than this signal.
    return f"{name}, the disk may be full" if -code == signal.SIGBUS else name
