"""Steady load with every item known: frames of a real clip, and a twin's detections."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from trinetra.adapters.video.video_file import VideoFileSource
from trinetra.errors import BufferUnavailable, EventLogUnavailable
from trinetra.events.codec import decode, encode
from trinetra.events.schema import DetectionEvent
from trinetra.events.topics import DETECTIONS
from trinetra.frames.encode import Encoder, EncodingConfig
from trinetra.ports import EventLog, FrameBuffer, Record
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario, Sensing
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, Frame, first_seq

SHOPPERS_PER_HOUR = 900.0
_START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def frames_of(clip: Path, camera_id: CameraId, count: int) -> list[Frame]:
    """Return the first frames of a clip as an ingestor encodes them."""
    source = VideoFileSource(clip, _START, loop=True)
    encoder = Encoder(camera_id, EncodingConfig(keeps_native=True, native_max_side=960))
    source.open()
    try:
        pictures = (source.read(key_frames_only=False) for _ in itertools.repeat(None))
        return [
            encoder.encode(seq, picture.captured_at, picture)
            for seq, picture in enumerate(itertools.islice(pictures, count))
            if picture
        ]
    finally:
        source.close()


@dataclass
class FrameLoad:
    """Appends frames at a steady rate, as an ingestor would, and counts them.

    Those that the buffer ``refused`` were never in it.
    """

    buffer: FrameBuffer
    frames: dict[CameraId, list[Frame]]
    fps: float
    appended: int = 0
    refused: int = 0
    dropped: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Append until told to stop."""
        sources = {camera: itertools.cycle(frames) for camera, frames in self.frames.items()}
        seqs = {camera: itertools.count(first_seq(datetime.now(UTC))) for camera in sources}
        began_s = time.monotonic()
        for tick in itertools.count(1):
            for camera, source in sources.items():
                await self._append(next(source), next(seqs[camera]))
            wait_s = began_s + tick / self.fps - time.monotonic()
            if await _set_within(stop, wait_s):
                return

    async def _append(self, frame: Frame, seq: int) -> None:
        at = datetime.now(UTC)
        dated = msgspec.structs.replace(frame, seq=seq, captured_at=at)
        try:
            self.dropped += await self.buffer.append(dated)
        except BufferUnavailable:
            self.refused += 1
        else:
            self.appended += 1


async def _set_within(stop: asyncio.Event, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, wait_s)):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def twin_detections(seed: int, seconds: float, models: dict[str, str]) -> list[DetectionEvent]:
    """Return what a twin's cameras detect, each camera in order, without the truth."""
    scenario = Scenario(
        seed,
        SHOPPERS_PER_HOUR,
        hours=seconds / 3600,
        started_at=_START,
        sensing=Sensing(late_share=0.0),
    )
    twin = Twin(built_in_shop(), scenario, models)
    events = [decode(arrival.payload) for arrival in twin.arrivals()]
    found = [event for event in events if isinstance(event, DetectionEvent)]
    return sorted(found, key=lambda event: (event.captured_at, event.camera_id))


@dataclass
class DetectionLoad:
    """Appends detections in the order of capture, ``speed`` times as fast as they happened."""

    log: EventLog
    events: list[DetectionEvent]
    speed: float
    acknowledged: Counter[str] = field(default_factory=Counter)
    retries: int = 0

    async def run(self) -> None:
        """Append everything; while the log is away, again and again."""
        began_s, first = time.monotonic(), self.events[0].captured_at
        for batch in self._batches():
            due_s = (batch[0].captured_at - first).total_seconds() / self.speed
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            await self._append(batch)
            self.acknowledged.update(event.event_id for event in batch)

    def _batches(self) -> Iterator[list[DetectionEvent]]:
        span_s = 0.1 * self.speed
        first = self.events[0].captured_at

        def tick(event: DetectionEvent) -> int:
            return int((event.captured_at - first).total_seconds() / span_s)

        for _, batch in itertools.groupby(self.events, tick):
            yield list(batch)

    async def _append(self, batch: list[DetectionEvent]) -> None:
        records = [Record(DETECTIONS, event.camera_id, encode(event)) for event in batch]
        while True:
            try:
                await self.log.append(records)
            except EventLogUnavailable:
                self.retries += 1
            else:
                return


def shuffled(events: list[DetectionEvent]) -> list[DetectionEvent]:
    """Return the events with every tenth twice, and neighbours of a camera out of order."""
    doubled = [e for n, event in enumerate(events) for e in [event] * (2 if n % 10 == 0 else 1)]
    by_camera: dict[CameraId, list[DetectionEvent]] = {}
    for event in doubled:
        by_camera.setdefault(event.camera_id, []).append(event)
    for own in by_camera.values():
        for i in range(1, len(own) - 1, 2):
            own[i], own[i + 1] = own[i + 1], own[i]
    order = {camera: iter(own) for camera, own in by_camera.items()}
    return [next(order[event.camera_id]) for event in doubled]
