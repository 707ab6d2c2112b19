"""Answers that never end by themselves: bounded in number, and ended with their session.

A client that reads nothing holds no more than one part of the answer: parts are made when the last
one was sent. After a while without progress the answer ends and its place is free.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from trinetra.ports import Clock
from trinetra.telemetry import get_logger
from trinetra.web.problems import TooManyRequests

log = get_logger("web")
STALLED_S = 30.0
"""Longest time for which a client may read nothing."""
CHECK_S = 10.0
"""How often the session of a client is checked."""
_RETRY_S = 10.0


class Places:
    """A number of streams that may be open at the same time."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self.taken = 0

    def check(self) -> None:
        """Raise TooManyRequests if all places are taken."""
        if self.taken >= self._most:
            raise TooManyRequests(
                f"{self._most} {self._what} are open already; close some or try again later",
                _RETRY_S,
            )

    def take(self) -> bool:
        """Take a place; return whether there was one."""
        if self.taken >= self._most:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        """Give a place back."""
        self.taken -= 1


class Stream(Response):
    """Sends parts until the client goes, its session ends, or it stops reading."""

    def __init__(
        self,
        parts: Callable[[], AsyncIterator[bytes]],
        *,
        media_type: str,
        places: Places,
        clock: Clock,
        is_allowed: Callable[[], Awaitable[bool]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Raise TooManyRequests if no place is free."""
        places.check()
        super().__init__(media_type=media_type, headers=headers)
        del self.headers["content-length"]
        self._parts = parts
        self._places = places
        self._clock = clock
        self._is_allowed = is_allowed
        self._sending_since_s: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if not self._places.take():  # others were answered before this one began
            await Response(status_code=429, headers={"Retry-After": f"{_RETRY_S:g}"})(
                scope, receive, send
            )
            return
        try:
            await self._answer(receive, send)
        finally:
            self._places.give_back()

    async def _answer(self, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        pump = asyncio.create_task(self._pump(send))
        ends = [
            asyncio.create_task(_disconnect(receive)),
            asyncio.create_task(self._session_end()),
            asyncio.create_task(self._stall()),
        ]
        try:
            done, _ = await asyncio.wait({pump, *ends}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, *ends):
                task.cancel()
            outcomes = await asyncio.gather(pump, *ends, return_exceptions=True)
        failures = [one for one in outcomes if isinstance(one, Exception)]
        if failures:
            raise failures[0]
        if ends[1] in done:
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, send: Send) -> None:
        parts = self._parts()
        try:
            async for part in parts:
                self._sending_since_s = self._clock.monotonic()
                await send({"type": "http.response.body", "body": part, "more_body": True})
                self._sending_since_s = None
        finally:
            if close := getattr(parts, "aclose", None):
                await close()
        await send({"type": "http.response.body", "body": b""})

    async def _session_end(self) -> None:
        while await self._is_allowed():
            await self._clock.sleep(CHECK_S)

    async def _stall(self) -> None:
        while True:
            await self._clock.sleep(STALLED_S / 2)
            since_s = self._sending_since_s
            if since_s is not None and self._clock.monotonic() - since_s >= STALLED_S:
                log.warning("a client has stopped reading its stream", after_s=STALLED_S)
                return


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
