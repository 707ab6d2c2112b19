"""Records on disk, in order, until they are sent: what the spool does with files.

It blocks, and one thread at a time may use it. A folder (mode 0700, for embeddings are biometric
data) holds append-only segments ``{number}.spool``, read from the lowest number to the highest; a
``cursor``, which tells what was sent already; and a ``lock``, which keeps other processes out. A
segment that turned out to be damaged is read as far as possible, then kept as ``{number}.aside``.
"""

import errno
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from trinetra.adapters.disk.private_folder import (
    explained,
    keep_out_others,
    make_private,
    sync,
    write_all,
)
from trinetra.adapters.disk.spool_format import Gap, Parsed, Placed, Stored, parse
from trinetra.telemetry import get_logger
from trinetra.values import Instant

_log = get_logger("spool")
_SLOT = struct.Struct("<QQQI")
_SLOT_BYTES = 512
"""Two places for the cursor, a disk sector each: a torn write leaves the other one whole."""
_WAITING, _ASIDE = ".spool", ".aside"
_KEPT_ASIDE = 8


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """What waits on disk: so many records, in so many bytes of files, the oldest since then."""

    records: int = 0
    bytes: int = 0
    oldest_at: Instant | None = None


class _Position(NamedTuple):
    """Everything before this place was sent: a segment's number and an offset in it."""

    number: int = 0
    offset: int = 0


class _Cursor:
    """A position in a file that never grows, so that it can be saved on a full disk."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._file, 0, 2 * _SLOT_BYTES)
        self._generation, self.saved = self._load()

    def save(self, position: _Position) -> None:
        """Write the position to the disk, over the older one of the two that are there."""
        self._generation += 1
        numbers = struct.pack("<QQQ", self._generation, *position)
        slot = numbers + zlib.crc32(numbers).to_bytes(4, "little")
        os.pwrite(self._file, slot, self._generation % 2 * _SLOT_BYTES)
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _load(self) -> tuple[int, _Position]:
        best = (0, _Position())
        for start in (0, _SLOT_BYTES):
            slot = os.pread(self._file, _SLOT.size, start)
            generation, number, offset, checksum = _SLOT.unpack(slot)
            if zlib.crc32(slot[:-4]) == checksum and generation > best[0]:
                best = (generation, _Position(number, offset))
        return best


@dataclass(slots=True)
class _Segment:
    """One file: the bytes that are safe in it, and how many records of it wait to be sent."""

    path: Path
    size: int = 0
    records: int = 0
    damaged: bool = False
    number: int = field(init=False)

    def __post_init__(self) -> None:
        self.number = int(self.path.stem)

    def parsed(self) -> Parsed:
        try:
            with self.path.open("rb") as file:
                return parse(file.read(self.size))
        except OSError as cause:
            if cause.errno not in {errno.EIO, errno.ENOENT}:
                raise
            return Parsed([], [Gap(0, self.size)])  # the medium, or somebody, lost it


class SpoolFolder:
    """A durable first-in, first-out queue of records in a folder.

    ``on_damage(file, gap)`` hears once of bytes that should be records and are none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 4 << 20,
        on_damage: Callable[[Path, Gap], None],
    ) -> None:
        """Take a folder for this process, and look through what an earlier one left in it.

        Raises ConfigurationError when another process has it or it cannot be used, StorageFull when
        its disk takes nothing at all.
        """
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._on_damage = on_damage
        self._segments: deque[_Segment] = deque()
        self._waiting: deque[Placed] = deque()
        self._oldest_at: Instant | None = None
        self._writing: int | None = None
        with explained("spool", folder), ExitStack() as stack:
            make_private(folder)
            lock = keep_out_others("spool", folder)
            stack.callback(os.close, lock)
            self._cursor = _Cursor(folder / "cursor")
            stack.callback(self._cursor.close)
            stack.callback(self._seal)
            sync(folder)
            self._sent = self._cursor.saved
            self._highest = self._sent.number
            self._find_segments()
            self._closing = stack.pop_all()
        self.status = self._count()

    def append(self, packed: bytes, records: int) -> None:
        """Write packed records behind all others; returning means safe on disk.

        Raises OSError, with nothing of them left behind.
        """
        segment, file = self._writable()
        try:
            write_all(file, packed)
            os.fdatasync(file)
        except OSError:
            self._take_back(segment, file)
            raise
        segment.size += len(packed)
        segment.records += records
        self.status = self._count()

    def head(self, max_records: int) -> list[Stored]:
        """Return the oldest records; none where nothing or only damage was left. Raises OSError."""
        while self._segments and not self._waiting:
            self._load_oldest()
        self.status = self._count()
        return [placed.stored for placed in islice(self._waiting, max_records)]

    def advance(self, records: int) -> None:
        """Forget the oldest records, of those that ``head`` returned: they were sent."""
        segment = self._segments[0]
        sent_to = self._waiting[records - 1].end
        for _ in range(records):
            self._waiting.popleft()
        segment.records -= records
        if sent_to < segment.size:
            self._save(_Position(segment.number, sent_to))
        else:
            self._finish_oldest()
        self.status = self._count()

    def close(self) -> None:
        """Give the folder free; what waits stays."""
        self._closing.close()

    # --- writing ------------------------------------------------------------------------------

    def _writable(self) -> tuple[_Segment, int]:
        if self._segments and self._segments[-1].size >= self._segment_bytes:
            self._seal()
        file = self._begin_segment() if self._writing is None else self._writing
        return self._segments[-1], file

    def _begin_segment(self) -> int:
        segment = _Segment(self._folder / f"{self._highest + 1:012}{_WAITING}")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = self._writing = os.open(segment.path, flags, 0o600)
        self._highest += 1
        self._segments.append(segment)
        try:
            sync(self._folder)
        except OSError:
            self._take_back(segment, file)
            raise
        return file

    def _take_back(self, segment: _Segment, file: int) -> None:
        """Undo a write that failed; whether the file can be trusted from here on is not known."""
        try:
            os.ftruncate(file, segment.size)
        except OSError as cause:
            _log.warning("half a record was left", file=str(segment.path), cause=str(cause))
        self._seal()
        if not segment.size:
            self._segments.pop()
            self._dispose(segment)

    def _seal(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    # --- reading ------------------------------------------------------------------------------

    def _find_segments(self) -> None:
        for path in sorted(self._folder.glob(f"*{_ASIDE}")):
            self._highest = max(self._highest, _Segment(path).number)
        for path in sorted(self._folder.glob(f"*{_WAITING}")):
            segment = _Segment(path, path.stat().st_size)
            self._highest = max(self._highest, segment.number)
            self._scan(segment)
            if segment.number < self._sent.number or not segment.size:
                self._dispose(segment)  # finished, or barely begun, when its process ended
            else:
                self._segments.append(segment)

    def _scan(self, segment: _Segment) -> None:
        """Count what waits, and cut off a record that was being written when its process ended."""
        parsed = segment.parsed()
        if parsed.torn_at is not None:
            torn_bytes = segment.size - parsed.torn_at
            _log.warning("cut a torn record", file=str(segment.path), torn_bytes=torn_bytes)
            os.truncate(segment.path, parsed.torn_at)
            segment.size = parsed.torn_at
        segment.damaged = bool(parsed.damaged)
        segment.records = len(self._unsent(segment, parsed))

    def _load_oldest(self) -> None:
        segment = self._segments[0]
        parsed = segment.parsed()
        gaps = parsed.damaged
        if parsed.torn_at is not None:  # it was whole when it was acknowledged
            gaps = [*gaps, Gap(parsed.torn_at, segment.size)]
        for gap in gaps:
            if gap.end > self._sent_of(segment):
                self._on_damage(segment.path, gap)
        segment.damaged |= bool(gaps)
        self._waiting.extend(self._unsent(segment, parsed))
        segment.records = len(self._waiting)
        if not self._waiting:
            self._finish_oldest()

    def _unsent(self, segment: _Segment, parsed: Parsed) -> Sequence[Placed]:
        sent_to = self._sent_of(segment)
        return [placed for placed in parsed.placed if placed.end > sent_to]

    def _sent_of(self, segment: _Segment) -> int:
        return self._sent.offset if self._sent.number == segment.number else 0

    def _finish_oldest(self) -> None:
        segment = self._segments.popleft()
        if not self._segments:
            self._seal()
        self._save(_Position(segment.number + 1))
        self._dispose(segment)

    def _save(self, position: _Position) -> None:
        self._sent = position
        try:
            self._cursor.save(position)
        except OSError as cause:
            _log.warning(
                "how far the spool was sent cannot be saved: after a restart some go out again",
                folder=str(self._folder),
                cause=str(cause),
            )

    def _dispose(self, segment: _Segment) -> None:
        try:
            if segment.damaged:
                segment.path.rename(segment.path.with_suffix(_ASIDE))
                for path in sorted(self._folder.glob(f"*{_ASIDE}"))[:-_KEPT_ASIDE]:
                    path.unlink()
            else:
                segment.path.unlink()
        except OSError as cause:
            _log.warning("a file of the spool stays", file=str(segment.path), cause=str(cause))

    def _count(self) -> SpoolStatus:
        if self._waiting:
            self._oldest_at = self._waiting[0].stored.spooled_at
        elif not self._segments:
            self._oldest_at = None
        return SpoolStatus(
            sum(segment.records for segment in self._segments),
            sum(segment.size for segment in self._segments),
            self._oldest_at,
        )
