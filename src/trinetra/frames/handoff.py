"""The way of frames from a camera's decode thread into the event loop."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trinetra.values import Frame


@dataclass(frozen=True, slots=True)
class _End:
    """The thread is done, with the error that ended it."""

    error: BaseException | None


class Handoff:
    """A short queue from a camera's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._room = threading.Semaphore(size)
        self._queue: asyncio.Queue[Frame | _End] = asyncio.Queue()
        self.closed = False
        self.finished = asyncio.Event()

    def put(self, frame: Frame, *, wait: bool) -> bool:
        """Hand a frame over (in the thread); False when there was no room or it is closed."""
        if not self._room.acquire(blocking=wait) or self.closed:
            return False
        return self._in_loop(self._queue.put_nowait, frame)

    def finish(self, error: BaseException | None) -> None:
        """Say that nothing more comes (in the thread)."""
        self._in_loop(self._end, _End(error))

    async def get(self) -> Frame | None:
        """Return the next frame, None at the end; raises the error that ended the thread."""
        item = await self._queue.get()
        if isinstance(item, Frame):
            self._room.release()
            return item
        if item.error is not None:
            raise item.error
        return None

    def close(self) -> None:
        """Take no more frames and wake the thread where it waits for room."""
        self.closed = True
        self._room.release()

    def _end(self, end: _End) -> None:
        self._queue.put_nowait(end)
        self.finished.set()

    def _in_loop(self, call: Callable[[Any], None], item: Frame | _End) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, item)
        except RuntimeError:
            # The loop was closed without waiting for this thread: nobody is left to tell.
            return False
        return True
