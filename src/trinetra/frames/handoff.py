"""Bounded queue that passes frames from a camera's decode thread to the event loop."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trinetra.values import Frame


@dataclass(frozen=True, slots=True)
class _End:
    """Marks the end of the thread, with the error that ended it, if any."""

    error: BaseException | None


class Handoff:
    """A short queue from a camera's decode thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._room = threading.Semaphore(size)
        self._queue: asyncio.Queue[Frame | _End] = asyncio.Queue()
        self.closed = False
        self.finished = asyncio.Event()

    def put(self, frame: Frame, *, wait: bool) -> bool:
        """Add a frame (called in the thread); return False if the queue is full or closed."""
        if not self._room.acquire(blocking=wait) or self.closed:
            return False
        return self._in_loop(self._queue.put_nowait, frame)

    def finish(self, error: BaseException | None) -> None:
        """Signal that no more frames follow (called in the thread)."""
        self._in_loop(self._end, _End(error))

    async def get(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises the error that ended the thread."""
        item = await self._queue.get()
        if isinstance(item, Frame):
            self._room.release()
            return item
        if item.error is not None:
            raise item.error
        return None

    def close(self) -> None:
        """Accept no more frames, and wake the thread if it waits for room."""
        self.closed = True
        self._room.release()

    def _end(self, end: _End) -> None:
        self._queue.put_nowait(end)
        self.finished.set()

    def _in_loop(self, call: Callable[[Any], None], item: Frame | _End) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, item)
        except RuntimeError:
            # The loop was closed without waiting for this thread, so there is no consumer left.
            return False
        return True
