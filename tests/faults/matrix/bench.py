"""What a fault may lay its hands on, and how long it took until things went on."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.matrix.ledger import Ledger
from tests.faults.matrix.load import DetectionLoad, FrameLoad
from tests.faults.matrix.rig import HostClock, Process
from tests.faults.matrix.servers import Servers

from trinetra.events.schema import AnyEvent
from trinetra.values import CameraId

GIVE_UP_S = 60.0


@dataclass
class Bench:
    """What a fault may lay its hands on, and what it found."""

    servers: Servers
    namespace: str
    processes: dict[str, Process]
    ledger: Ledger
    frames: FrameLoad
    detections: DetectionLoad
    ingest_clock: HostClock
    recoveries: list[float] = field(default_factory=list)
    buffered: int = 0
    """Frames that were in the buffer when its server lost all it had."""

    @property
    def frame_cameras(self) -> frozenset[CameraId]:
        """The cameras whose frames are put into the buffer; the others are the twin's."""
        return frozenset(self.frames.frames)

    async def recovered(
        self, *kinds: type[AnyEvent], cameras: frozenset[CameraId] | None = None
    ) -> None:
        """Note how long it takes from now until new events of some kinds and cameras appear."""
        back_s = time.monotonic()

        def is_back() -> bool:
            new = self.ledger.of(*kinds, since_s=back_s)
            return any(cameras is None or seen.event.camera_id in cameras for seen in new)

        await self.recovered_when(is_back)

    async def recovered_when(self, is_back: Callable[[], bool]) -> None:
        """Note how long it takes from now until something holds, ``GIVE_UP_S`` if it does not."""
        back_s = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                await self.ledger.until(lambda _: is_back())
        self.recoveries.append(round(time.monotonic() - back_s, 2))
