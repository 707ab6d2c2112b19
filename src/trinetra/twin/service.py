"""Writes a run of the twin to files, or publishes it to the event log at a chosen speed."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from trinetra.errors import StorageFull
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Clock, EventLog, Record
from trinetra.twin.emission import Arrival
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin

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
