"""Files of the journal: a segmented log for each topic, with a time index and retention.

It blocks, and one thread at a time may write; any process that may read the folder can do so at the
same time. A block's offset is its latest instant in microseconds or, where a clock ran backwards,
one more than the offset before; so everything in a segment is older than the next segment's name.
A segment holds at most one hour, so that what is deleted by age is at most an hour older than it
may be. Its age is the first instant in it and not its name: after a clock was ahead, names stay
ahead. Appends are not forced to the disk: they survive the end of the process, not of the machine.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from trinetra.adapters.disk.framing import HEADER_BYTES, MAGIC
from trinetra.adapters.disk.journal_format import (
    SPAN_BYTES,
    Entry,
    decode_entries,
    decode_span,
    encode_block,
    span_of,
)
from trinetra.adapters.disk.private_folder import explained, lock_private
from trinetra.adapters.disk.segmented_log import (
    Segment,
    SegmentedLog,
    list_segments,
    read_segment,
)
from trinetra.telemetry import get_logger
from trinetra.values import Instant, microseconds

_log = get_logger("journal")
_SUFFIX = ".journal"
_HOUR_US = 3_600_000_000
_LARGEST_SEGMENT, _SMALLEST_SEGMENT, _SEGMENTS = 16 << 20, 64 << 10, 32

Edit = Callable[[Entry], Entry | None]
"""Returns an entry itself, another to replace it, or None to drop it."""


class JournalFolder:
    """The journal's log of each topic, for the one process that may write them."""

    def __init__(self, folder: Path, *, max_bytes: int, retention_s: Mapping[str, float]) -> None:
        """Open or create the folder for the topics that ``retention_s`` names.

        Raises ConfigurationError if it cannot be used or another process has it, StorageFull.
        """
        self.folder = folder
        self._max_bytes = max_bytes
        self._retention_s = retention_s
        self._logs: dict[str, SegmentedLog] = {}
        self._first_us: dict[Path, int] = {}
        segment_bytes = min(_LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, max_bytes // _SEGMENTS))
        with explained("journal", folder), ExitStack() as stack:
            stack.callback(
                os.close, lock_private("journal", folder, separated_by="TRINETRA_DATA_DIR")
            )
            for topic in retention_s:
                log = SegmentedLog(
                    folder / topic, _SUFFIX, segment_bytes=segment_bytes, durable=False
                )
                self._logs[topic] = log
                self._first_us |= {each.path: _read_first_us(each) for each in log.segments}
                stack.callback(log.roll)
            self._closing = stack.pop_all()

    @property
    def bytes(self) -> int:
        """How much disk the segments take."""
        return sum(log.size for log in self._logs.values())

    @property
    def is_too_large(self) -> bool:
        """Whether they take more than they may."""
        return self.bytes > self._max_bytes

    def ends(self) -> dict[str, int]:
        """Return the offset behind the last block of each topic."""
        return {topic: log.next_offset for topic, log in self._logs.items()}

    def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Append entries to a topic's log, as one block.

        Raises OSError, with none of them kept.
        """
        log, span = self._logs[topic], span_of(entries)
        self._roll_after_hour(log, span.first_us)
        log.append([encode_block(entries, span)], min_offset=span.last_us)
        self._first_us.setdefault(log.segments[-1].path, span.first_us)

    def prune(self, now: Instant) -> dict[Literal["age", "size"], int]:
        """Delete expired segments, then the oldest beyond the limit; return how many. OSError."""
        now_us = microseconds(now)
        for log in self._logs.values():
            self._roll_after_hour(log, now_us)  # an idle topic is not appended to
        expired = [
            (log, s) for topic, log in self._logs.items() for s in self._expired(topic, now_us)
        ]
        for log, segment in expired:
            self._delete(log, segment)
        surplus = 0
        for log, segment in self._oldest_first():
            if not self.is_too_large:
                break
            self._delete(log, segment)
            surplus += 1
        return {"age": len(expired), "size": surplus}

    def rewrite(self, edit: Edit) -> int:
        """Put every entry through ``edit``; return how many were changed or dropped.

        Raises StorageFull or ConfigurationError; segments that were rewritten until then stay so.
        """
        with explained("journal", self.folder):
            return sum(
                _rewrite(log, segment, edit)
                for log in self._logs.values()
                for segment in log.segments
            )

    def close(self) -> None:
        """Close the files and unlock the folder; may be called more than once."""
        self._closing.close()

    def _delete(self, log: SegmentedLog, segment: Segment) -> None:
        log.delete(segment)
        self._first_us.pop(segment.path, None)

    def _begin(self, segment: Segment) -> int:
        return self._first_us.get(segment.path, segment.base)

    def _roll_after_hour(self, log: SegmentedLog, at_us: int) -> None:
        if log.active is not None and _hour(at_us) != _hour(self._begin(log.active)):
            log.roll()

    def _oldest_first(self) -> list[tuple[SegmentedLog, Segment]]:
        """Return all segments that are not appended to any more, whatever their topic."""
        logs = self._logs.values()
        closed = [(log, s) for log in logs for s in log.segments if s is not log.active]
        return sorted(closed, key=lambda each: (self._begin(each[1]), each[1].base))

    def _expired(self, topic: str, now_us: int) -> list[Segment]:
        """Return the expired segments of a topic.

        A segment from a clock that was ahead expires with the one written after it.
        """
        log, kept_us = self._logs[topic], self._retention_s[topic] * 1_000_000
        expired, is_later_old = [], False
        for segment in reversed(log.segments):
            if segment is log.active:
                continue
            begin_us = self._begin(segment)
            is_old = (_hour(begin_us) + 1) * _HOUR_US + kept_us <= now_us
            is_later_old |= is_old
            if is_old or (begin_us > now_us and is_later_old):
                expired.append(segment)
        return expired


def read_journal(
    folder: Path, topics: Iterable[str], *, since: Instant, until: Instant | None = None
) -> Iterator[Entry]:
    """Yield the entries of topics from ``[since, until)``, in the order of appending.

    Any process may call it, also while another one writes; entries not yet written are missing.
    """
    window = microseconds(since), None if until is None else microseconds(until)
    rows = [read_topic(folder, topic, since_us=window[0], until_us=window[1]) for topic in topics]
    return heapq.merge(*rows, key=lambda entry: entry.at)


def read_topic(
    folder: Path,
    topic: str,
    *,
    since_us: int,
    until_us: int | None = None,
    begin: int = 0,
    end: int | None = None,
) -> Iterator[Entry]:
    """Yield the entries of a topic in order, of the blocks with offsets in ``[begin, end)``."""
    for path in list_segments(folder / topic, _SUFFIX, max(begin, since_us), end):
        for block in _read_blocks(path, begin, end):
            span = decode_span(block)
            if span.last_us < since_us or (until_us is not None and span.first_us >= until_us):
                continue
            for entry in decode_entries(block):
                at_us = microseconds(entry.at)
                if since_us <= at_us and (until_us is None or at_us < until_us):
                    yield entry


def _read_blocks(path: Path, begin: int, end: int | None) -> list[bytes]:
    try:
        parsed = read_segment(path)
    except FileNotFoundError:
        return []  # deleted by retention since the folder was listed
    gaps = parsed.gaps[:-1] if parsed.is_torn else parsed.gaps  # it may be written just now
    if gaps:
        damaged_bytes = sum(gap.end - gap.start for gap in gaps)
        _log.warning(
            "the journal is damaged: some entries are lost",
            file=str(path),
            gaps=len(gaps),
            damaged_bytes=damaged_bytes,
        )
    return [
        f.payload for f in parsed.frames if begin <= f.offset and (end is None or f.offset < end)
    ]


def _rewrite(log: SegmentedLog, segment: Segment, edit: Edit) -> int:
    """Put the entries of a segment through ``edit``; its blocks keep their offsets and instants."""
    try:
        parsed = read_segment(segment.path)
    except FileNotFoundError:
        return 0  # deleted by hand
    changed, frames = 0, []
    for frame in parsed.frames:
        before = decode_entries(frame.payload)
        after = [edit(entry) for entry in before]
        changed += sum(new is not old for new, old in zip(after, before, strict=True))
        kept = [entry for entry in after if entry is not None]
        frames.append((frame.offset, encode_block(kept, decode_span(frame.payload))))
    if changed or parsed.gaps:  # damaged bytes cannot be searched for names
        log.rewrite(segment, frames)
    return changed


def _read_first_us(segment: Segment) -> int:
    """Return the first instant in a segment, its name if the first block is damaged."""
    with segment.path.open("rb") as file:
        start = file.read(HEADER_BYTES + SPAN_BYTES)
    if len(start) < HEADER_BYTES + SPAN_BYTES or not start.startswith(MAGIC):
        return segment.base
    return decode_span(start[HEADER_BYTES:]).first_us


def _hour(at_us: int) -> int:
    return at_us // _HOUR_US
