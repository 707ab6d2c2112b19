"""Waiting that a stop cuts short, and waiting for several at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all of them return; the first failure cancels the others and is raised.

    Not a TaskGroup: before Python 3.13, one that fails leaves its task marked as cancelled, and a
    time-out around it no longer knows its own cancellation from somebody else's.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but abandon it when ``event`` is set; what goes wrong with it is raised."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        told.cancel()
        await asyncio.gather(task, told, return_exceptions=True)
