"""Durable first-in, first-out queue of records on disk, the storage of the spool.

It blocks, and one thread at a time may use it. The folder holds the segments of a log
(``*.spool``); ``cursor``, the offset of the next record to send; and ``lock``, which keeps other
processes out. A damaged segment is read as far as possible and then kept as ``*.aside``.
"""

import os
import struct
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from trinetra.adapters.disk.framing import Frame, Gap
from trinetra.adapters.disk.private_folder import explained, lock_private, sync
from trinetra.adapters.disk.segmented_log import Segment, SegmentedLog
from trinetra.ports import Record
from trinetra.telemetry import get_logger
from trinetra.values import Instant

_log = get_logger("spool")
_SUFFIX, _ASIDE = ".spool", ".aside"
_KEPT_ASIDE = 8


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A record and when it was spooled."""

    spooled_at: Instant
    record: Record


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """How many unsent records there are, in how many bytes of segments, the oldest since when."""

    records: int = 0
    bytes: int = 0
    oldest_at: Instant | None = None


class _Cursor:
    """An offset in a file that never grows, so that it can be saved on a full disk.

    The file has two slots, a disk sector each, which are written in turn: if a write is torn, the
    other slot still holds the offset before.
    """

    _SLOT = struct.Struct("<QQI")
    _SLOT_BYTES = 512

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._file, 0, 2 * self._SLOT_BYTES)
        slots = [self._load(start) for start in (0, self._SLOT_BYTES)]
        self._generation, self.offset = max(slots)

    def save(self, offset: int) -> None:
        """Write the offset to the disk, over the older slot. Raises OSError."""
        self.offset = offset
        self._generation += 1
        numbers = struct.pack("<QQ", self._generation, offset)
        slot = numbers + zlib.crc32(numbers).to_bytes(4, "little")
        os.pwrite(self._file, slot, self._generation % 2 * self._SLOT_BYTES)
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _load(self, start: int) -> tuple[int, int]:
        slot = os.pread(self._file, self._SLOT.size, start)
        generation, offset, checksum = self._SLOT.unpack(slot)
        return (generation, offset) if zlib.crc32(slot[:-4]) == checksum else (0, 0)


class SpoolFolder:
    """Queue of records in a folder; ``on_damage(file, gap)`` is called once for each gap."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 4 << 20,
        on_damage: Callable[[Path, Gap], None],
    ) -> None:
        """Lock a folder for this process, and find the records that an earlier one left in it.

        Raises ConfigurationError if another process has the folder or it cannot be used, and
        StorageFull if its disk is full.
        """
        self._folder = folder
        self._on_damage = on_damage
        self._loaded: deque[tuple[int, Stored]] = deque()
        self._read_to = 0  # bytes of the oldest segment
        self._unsent: Counter[int] = Counter()  # records of each segment, by its base
        self._damaged: set[int] = set()
        self._oldest_at: Instant | None = None
        with explained("spool", folder), ExitStack() as stack:
            stack.callback(os.close, lock_private("spool", folder))
            self._cursor = _Cursor(folder / "cursor")
            stack.callback(self._cursor.close)
            sync(folder)
            names = [self._cursor.offset, *(int(path.stem) + 1 for path in self._aside())]
            self._log = SegmentedLog(
                folder, _SUFFIX, segment_bytes=segment_bytes, durable=True, next_offset=max(names)
            )
            stack.callback(self._log.roll)
            self._find_unsent()
            self._closing = stack.pop_all()
        self.status = self._count()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append encoded records; they are on the disk when this returns.

        Raises OSError, with none of them kept.
        """
        self._log.append(payloads)
        self._unsent[self._log.segments[-1].base] += len(payloads)
        self.status = self._count()

    def head(self, max_records: int) -> list[Stored]:
        """Return the oldest records; none if nothing or only damage is left. Raises OSError."""
        while self._log.segments and not self._loaded:
            self._load(self._log.segments[0])
        self.status = self._count()
        return [stored for _, stored in islice(self._loaded, max_records)]

    def advance(self, records: int) -> None:
        """Remove the oldest records, which ``head`` returned: they were sent."""
        oldest = self._log.segments[0]
        sent = [self._loaded.popleft() for _ in range(records)]
        self._unsent[oldest.base] -= records
        if self._unsent[oldest.base]:
            self._save_cursor(sent[-1][0] + 1)
        else:
            self._finish(oldest)
        self.status = self._count()

    def close(self) -> None:
        """Close the files and unlock the folder; unsent records stay on disk."""
        self._closing.close()

    def _find_unsent(self) -> None:
        segments = list(self._log.segments)
        ends = [*(segment.base for segment in segments[1:]), self._log.next_offset]
        for segment, end in zip(segments, ends, strict=False):
            parsed = self._log.recover(segment)
            unsent = sum(frame.offset >= self._cursor.offset for frame in parsed.frames)
            if parsed.gaps:
                self._damaged.add(segment.base)
            if end <= self._cursor.offset or not segment.size:
                self._dispose(segment)  # sent, or never acknowledged, when its process ended
            else:
                self._unsent[segment.base] = unsent

    def _load(self, oldest: Segment) -> None:
        """Read what was appended to the oldest segment since it was last read."""
        parsed = self._log.read(oldest, self._read_to)
        gaps, sent_to = parsed.gaps, self._read_to
        for frame in parsed.frames:
            if frame.offset < self._cursor.offset:
                sent_to = frame.end
            elif (stored := _decoded(frame)) is not None:
                self._loaded.append((frame.offset, stored))
            else:
                gaps.append(Gap(frame.start, frame.end))
        for gap in gaps:
            self._damaged.add(oldest.base)
            if gap.start >= sent_to:
                self._on_damage(oldest.path, gap)
        self._read_to = oldest.size
        self._unsent[oldest.base] = len(self._loaded)
        if not self._loaded:
            self._finish(oldest)

    def _finish(self, oldest: Segment) -> None:
        following = self._log.segments[1:2]
        self._save_cursor(following[0].base if following else self._log.next_offset)
        self._read_to = 0
        self._dispose(oldest)

    def _save_cursor(self, offset: int) -> None:
        try:
            self._cursor.save(offset)
        except OSError as cause:
            _log.warning(
                "the spool's cursor cannot be saved: after a restart some records are sent again",
                folder=str(self._folder),
                cause=str(cause),
            )

    def _dispose(self, segment: Segment) -> None:
        """Delete a segment that was sent, or keep it aside if it is damaged."""
        del self._unsent[segment.base]
        self._log.detach(segment)
        try:
            if segment.base in self._damaged:
                segment.path.rename(segment.path.with_suffix(_ASIDE))
                for path in self._aside()[:-_KEPT_ASIDE]:
                    path.unlink()
            else:
                segment.path.unlink()
        except OSError as cause:
            _log.warning("a segment cannot be removed", file=str(segment.path), cause=str(cause))

    def _aside(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_ASIDE}"))

    def _count(self) -> SpoolStatus:
        if self._loaded:
            self._oldest_at = self._loaded[0][1].spooled_at
        elif not self._log.segments:
            self._oldest_at = None
        return SpoolStatus(self._unsent.total(), self._log.size, self._oldest_at)


def _decoded(frame: Frame) -> Stored | None:
    try:
        return _decode(frame.payload)
    except msgspec.MsgspecError:
        return None
