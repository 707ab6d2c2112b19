"""Writes a run of the twin to files, or publishes it to the event log at a chosen speed."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from trinetra.errors import StorageFull
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Clock, EventLog, Record
from trinetra.streaming.concurrency import run_until
from trinetra.twin.emission import Arrival
from trinetra.twin.plan import View
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.values import CameraId, Instant, microseconds, seconds_between

_APPEND_AT_ONCE = 256
_TICK_US = 50_000
_LONGEST_PAUSE_US = 60_000_000
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Published:
    """Counts of a publication: events, and bytes of payload."""

    events: int
    payload_bytes: int


async def publish(
    arrivals: Iterable[Arrival], log: EventLog, clock: Clock, speed: float | None = None
) -> Published:
    """Append events to the log in order of arrival, at ``speed`` times real time.

    Without a speed they are appended as fast as the log accepts them. Nights, when no camera
    records, are shortened. Raises EventLogUnavailable.
    """
    events = payload_bytes = 0
    elapsed_us, before_us = 0, None
    began_s = clock.monotonic()
    for batch in _batches(arrivals, speed):
        at_us = batch[-1].at_us
        elapsed_us += 0 if before_us is None else min(at_us - before_us, _LONGEST_PAUSE_US)
        before_us = at_us
        late_s = clock.monotonic() - began_s
        # At full speed this only yields to the consumers.
        await clock.sleep(max(0.0, elapsed_us / 1e6 / speed - late_s) if speed else 0.0)
        await log.append([Record(DETECTIONS, a.camera_id, a.payload) for a in batch])
        events += len(batch)
        payload_bytes += sum(len(arrival.payload) for arrival in batch)
    return Published(events, payload_bytes)


def _batches(arrivals: Iterable[Arrival], speed: float | None) -> Iterable[list[Arrival]]:
    """Group events: by count at full speed, otherwise by twentieths of a real second."""
    if speed is None:
        iterator = iter(arrivals)
        while batch := list(itertools.islice(iterator, _APPEND_AT_ONCE)):
            yield batch
        return
    span_us = _TICK_US * speed
    for _, group in itertools.groupby(arrivals, key=lambda a: a.at_us // span_us):
        yield list(group)


class TwinFeed:
    """A service in place of ingestor and worker: publishes what a twin's cameras detect.

    ``frames`` counts the published frames of each camera; ``since`` is when the feed was made.
    """

    name = "digital-twin"

    def __init__(
        self,
        twin: Twin,
        log: EventLog,
        clock: Clock,
        speed: float | None,
        since: Instant | None = None,
    ) -> None:
        """Take the twin and how many times as fast as real it runs; None is as fast as possible.

        What arrives before ``since`` is left out.
        """
        self._twin = twin
        self._log = log
        self._clock = clock
        self._speed = speed
        self._from = since
        self.frames: Counter[CameraId] = Counter()
        self.since = clock.now()
        self.is_running = False
        self.was_started = False

    @property
    def views(self) -> tuple[View, ...]:
        """The views of the twin's cameras."""
        return self._twin.plan.views

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until the run ends or ``stopping`` is set. Raises EventLogUnavailable."""
        self.is_running = self.was_started = True
        try:
            await run_until(stopping, self._publish())
        finally:
            self.is_running = False

    async def _publish(self) -> None:
        await publish(self._counted(), self._log, self._clock, self._speed)

    def _counted(self) -> Iterator[Arrival]:
        started_at = self._twin.scenario.started_at
        skip_s = seconds_between(started_at, self._from) if self._from else 0.0
        from_us = microseconds(self._from) if self._from else 0
        for arrival in self._twin.arrivals(skip_s):
            if arrival.at_us < from_us:
                continue
            self.frames[CameraId(arrival.camera_id)] += 1
            yield arrival

    def ready(self) -> bool:
        """Return whether the twin is publishing."""
        return self.is_running

    def status(self) -> dict[CameraId, int]:
        """Return how many frames of each camera were published."""
        return dict(self.frames)


@dataclass(frozen=True, slots=True)
class Written:
    """Counts of the lines in each file."""

    events: int
    truths: int
    transactions: int


def write(twin: Twin, folder: Path) -> Written:
    """Write ``events.jsonl``, ``truth.jsonl`` and ``pos.jsonl`` into a folder, created if missing.

    Raises StorageFull if the files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            (folder / "events.jsonl").open("wb") as events,
            (folder / "truth.jsonl").open("wb") as truth,
            (folder / "pos.jsonl").open("wb") as pos,
        ):
            return _write(twin, events, truth, pos)
    except OSError as cause:
        raise StorageFull(f"{folder} cannot be written: {cause.strerror}; free space") from cause


def _write(twin: Twin, events: BinaryIO, truth: BinaryIO, pos: BinaryIO) -> Written:
    recorder = Recorder(twin.world)
    truths = _put(truth, map(_encoder.encode, recorder.lines()))
    transactions = _put(pos, map(_encoder.encode, recorder.transactions()))
    count = 0
    for batch in twin.batches():
        count += _put(events, (arrival.payload for arrival in batch.arrivals))
        truths += _put(truth, batch.frames)
    return Written(count, truths, transactions)


def _put(file: BinaryIO, lines: Iterable[bytes]) -> int:
    chunk = [line + b"\n" for line in lines]
    file.write(b"".join(chunk))
    return len(chunk)
