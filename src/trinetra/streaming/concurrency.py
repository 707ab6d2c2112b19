"""Waiting for several calls at once, and for one call until an event cuts it short."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of all coroutines in order; the first failure cancels the others.

    Not a TaskGroup: before Python 3.13, a TaskGroup that fails leaves its own task marked as
    cancelled, so that a timeout around it cannot tell its own cancellation from another one.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def run_until(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, but cancel it as soon as ``event`` is set; its failure is raised."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
