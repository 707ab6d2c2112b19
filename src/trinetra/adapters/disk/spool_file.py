"""Durable first-in, first-out queue of records on disk, the storage of the spool.

It blocks, and one thread at a time may use it. The folder holds the segments of a log
(``*.spool``); ``cursor``, the offset of the next record to send; and ``lock``, which keeps other
processes out. A damaged segment is read as far as possible and then kept as ``*.aside``.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from trinetra.adapters.disk.framing import Frame, Gap, encode_frame, parse
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
    """How many records are unsent, in how many bytes of segments, the oldest since when.

    Damaged records count until they are reached.
    """

    records: int = 0
    bytes: int = 0
    oldest_at: Instant | None = None


class _Cursor:
    """An offset in a file that never grows, so that it can be saved on a full disk.

    The file has two sectors, which are written in turn, each as a frame: if a write is torn, the
    other sector still holds the offset before.
    """

    _SECTOR_BYTES = 512

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._file, 0, 2 * self._SECTOR_BYTES)
        saved = parse(os.pread(self._file, 2 * self._SECTOR_BYTES, 0)).frames
        self._saves, payload = max(((f.offset, f.payload) for f in saved), default=(0, b""))
        self.offset = int.from_bytes(payload, "little")

    def save(self, offset: int) -> None:
        """Write the offset to the disk, over the older one. Raises OSError."""
        self.offset = offset
        self._saves += 1
        frame = encode_frame(self._saves, offset.to_bytes(8, "little"))
        os.pwrite(self._file, frame, self._saves % 2 * self._SECTOR_BYTES)
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


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
        self.folder = folder
        self._on_damage = on_damage
        self._loaded: deque[tuple[int, Stored]] = deque()
        self._loaded_bytes = 0  # of the oldest segment
        self._is_damaged = False  # is the oldest segment
        self._oldest_at: Instant | None = None
        with explained("spool", folder), ExitStack() as stack:
            stack.callback(
                os.close, lock_private("spool", folder, separated_by="TRINETRA_INSTANCE")
            )
            self._cursor = _Cursor(folder / "cursor")
            stack.callback(self._cursor.close)
            sync(folder)
            lowest = [self._cursor.offset, *(int(path.stem) + 1 for path in self._aside())]
            self._log = SegmentedLog(
                folder, _SUFFIX, segment_bytes=segment_bytes, durable=True, next_offset=max(lowest)
            )
            stack.callback(self._log.roll)
            self._recover()
            self._closing = stack.pop_all()
        self.status = self._count()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append encoded records; they are on the disk when this returns.

        Raises OSError, with none of them kept.
        """
        self._log.append(payloads)
        self.status = self._count()

    def head(self, max_records: int) -> list[Stored]:
        """Return the oldest records; none if nothing or only damage is left. Raises OSError."""
        while self._log.segments and not self._loaded:
            self._load(self._log.segments[0])
        self.status = self._count()
        return [stored for _, stored in islice(self._loaded, max_records)]

    def advance(self, records: int) -> None:
        """Remove the oldest records, which ``head`` returned: they were sent."""
        sent = [self._loaded.popleft() for _ in range(records)]
        oldest = self._log.segments[0]
        if self._loaded or self._loaded_bytes < oldest.size:
            self._save_cursor(sent[-1][0] + 1)
        else:
            self._finish(oldest)
        self.status = self._count()

    def leftovers(self) -> list[Path]:
        """Return the files whose records no longer wait: set aside, or impossible to delete."""
        waiting = {segment.path for segment in self._log.segments}
        return [path for path in (*self._aside(), *self._segments()) if path not in waiting]

    def purge(self) -> int:
        """Delete the leftovers; return how many there were. Raises OSError if one stays."""
        leftovers = self.leftovers()
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def close(self) -> None:
        """Close the files and unlock the folder; unsent records stay on disk."""
        self._closing.close()

    def _recover(self) -> None:
        """Cut off unfinished writes, and remove segments that were sent."""
        segments = list(self._log.segments)
        ends = [*(segment.base for segment in segments[1:]), self._log.next_offset]
        for segment, end in zip(segments, ends, strict=False):
            is_damaged = bool(self._log.recover(segment).gaps)
            if end <= self._cursor.offset or not segment.size:
                self._dispose(segment, is_damaged=is_damaged)

    def _load(self, oldest: Segment) -> None:
        """Read what was appended to the oldest segment since it was last read."""
        parsed = self._log.read(oldest, self._loaded_bytes)
        gaps, sent_bytes = parsed.gaps, self._loaded_bytes
        for frame in parsed.frames:
            if frame.offset < self._cursor.offset:
                sent_bytes = frame.end
            elif (stored := _decoded(frame)) is not None:
                self._loaded.append((frame.offset, stored))
            else:
                gaps.append(Gap(frame.start, frame.end))
        for gap in gaps:
            self._is_damaged = True
            if gap.start >= sent_bytes:
                self._on_damage(oldest.path, gap)
        self._loaded_bytes = oldest.size
        if not self._loaded:
            self._finish(oldest)

    def _finish(self, oldest: Segment) -> None:
        following = self._log.segments[1:2]
        self._save_cursor(following[0].base if following else self._log.next_offset)
        self._dispose(oldest, is_damaged=self._is_damaged)
        self._loaded_bytes, self._is_damaged = 0, False

    def _save_cursor(self, offset: int) -> None:
        try:
            self._cursor.save(offset)
        except OSError as cause:
            _log.warning(
                "the spool's cursor cannot be saved: after a restart some records are sent again",
                folder=str(self.folder),
                cause=str(cause),
            )

    def _dispose(self, segment: Segment, *, is_damaged: bool) -> None:
        """Delete a segment that was sent, or keep it aside if it is damaged."""
        self._log.detach(segment)
        try:
            if is_damaged:
                segment.path.rename(segment.path.with_suffix(_ASIDE))
                for path in self._aside()[:-_KEPT_ASIDE]:
                    path.unlink()
            else:
                segment.path.unlink()
        except OSError as cause:
            _log.warning("a segment cannot be removed", file=str(segment.path), cause=str(cause))

    def _aside(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_ASIDE}"))

    def _segments(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def _count(self) -> SpoolStatus:
        if not self._log.segments:
            self._oldest_at = None
            return SpoolStatus()
        if self._loaded:
            self._oldest_at = self._loaded[0][1].spooled_at
        first = max(self._cursor.offset, self._log.segments[0].base)
        return SpoolStatus(self._log.next_offset - first, self._log.size, self._oldest_at)


def _decoded(frame: Frame) -> Stored | None:
    try:
        return _decode(frame.payload)
    except msgspec.MsgspecError:
        return None
