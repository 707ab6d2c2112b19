"""A thread for calls that block, awaited from the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Runs one call after another on a thread of its own.

    The thread is a daemon, unlike those of an executor: librdkafka may keep one inside a call for
    as long as a broker is away, whatever timeout it was given, and the process has to be able to
    end all the same.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def run(self, call: Callable[[], T], timeout_s: float) -> T:
        """Return what the call returns.

        Raises TimeoutError; the call still goes on then, and later ones wait for its end.
        """
        future: Future[T] = Future()
        self._calls.put((future, call))
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """End the thread, after the calls that were given to it."""
        self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as failure:  # noqa: BLE001 - raised where it is awaited
                future.set_exception(failure)
            del item, future, call  # the thread must not keep the last call's client alive
