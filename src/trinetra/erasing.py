"""A process's part in the forgetting of people: it looks for requests, and confirms what it did."""

import asyncio
from collections.abc import Mapping

from trinetra.errors import StoreUnavailable
from trinetra.events.erasure import Erasure, Share
from trinetra.ports import Clock, ErasureDesk
from trinetra.telemetry import ERASURES_WAITING, get_logger

_PATIENCE_S = 0.25
"""How long a caller waits for the desk; a slow answer is taken by one of the next calls."""


class ErasureDuty:
    """Attends the erasure desk for one process, every ``every_s``.

    A desk that does not answer is asked again; a request stands until it was confirmed.
    """

    def __init__(
        self, desk: ErasureDesk, clock: Clock, *, member: str, every_s: float = 2.0
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._member = member
        self._every_s = every_s
        self._due_s = clock.monotonic()
        self._asking: asyncio.Future[list[Erasure]] | None = None
        self._is_away = False

    async def due(self) -> list[Erasure]:
        """Return what is to be forgotten here, if it is time to look; never waits long."""
        if self._asking is None:
            if self._clock.monotonic() < self._due_s:
                return []
            asking = self._desk.attend(self._member, self._clock.now())
            self._asking = asyncio.ensure_future(asking)
        done, _ = await asyncio.wait({self._asking}, timeout=_PATIENCE_S)
        return self._take(done.pop()) if done else []

    async def confirm(self, erasure: Erasure, removed: Mapping[str, int]) -> None:
        """Say what was forgotten; while the desk is away the request stays due."""
        share = Share(member=self._member, at=self._clock.now(), removed=dict(removed))
        try:
            await self._desk.confirm(erasure.number, share)
        except StoreUnavailable as cause:
            self._note_outage(cause)
        else:
            get_logger("erasure").info("somebody was forgotten", number=erasure.number, **removed)

    async def close(self) -> None:
        """End attending; may be called more than once."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None
        try:
            await self._desk.leave(self._member)
        except StoreUnavailable as cause:
            self._note_outage(cause)

    def _take(self, answer: asyncio.Future[list[Erasure]]) -> list[Erasure]:
        self._asking = None
        self._due_s = self._clock.monotonic() + self._every_s
        try:
            erasures = answer.result()
        except StoreUnavailable as cause:
            self._note_outage(cause)
            return []
        self._is_away = False
        ERASURES_WAITING.labels(self._member.partition("@")[0]).set(len(erasures))
        return erasures

    def _note_outage(self, cause: StoreUnavailable) -> None:
        if not self._is_away:  # once per outage
            self._is_away = True
            get_logger("erasure").warning("the erasure desk does not answer", cause=str(cause))
