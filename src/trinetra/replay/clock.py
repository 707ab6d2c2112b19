"""Clock of a replay: it stands still, because all time in a replay comes from the events."""

import asyncio

from trinetra.values import EPOCH, Instant


class ReplayClock:
    """A clock that does not advance.

    A replay runs faster than the recorded time. With a real clock, timeouts that are meant for
    live cameras, such as that of a silent camera, would depend on the speed of the machine.
    """

    def now(self) -> Instant:
        """Return always the same instant."""
        return EPOCH

    def monotonic(self) -> float:
        """Return always the same time."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Return after that many real seconds."""
        await asyncio.sleep(seconds)
