"""Append-only log in a folder of segments, the storage of the spool and of the journal.

Every frame has an offset, which only grows and is never given twice; a segment is named by the
offset at which it begins. Offsets may have gaps, so they can carry meaning: the journal's are
instants. One thread at a time may use a log, others may read its files meanwhile. Segments and
offsets as in J. Kreps et al., Kafka: a distributed messaging system for log processing, 2011.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trinetra.adapters.disk.framing import (
    HEADER_BYTES,
    SUPERSEDED,
    Frame,
    Gap,
    Parsed,
    encode_frame,
    parse,
)
from trinetra.adapters.disk.private_folder import make_private, replace_file, sync, write_all
from trinetra.errors import ConfigurationError
from trinetra.telemetry import get_logger

_log = get_logger("disk-log")
_NEW = ".new"


@dataclass(slots=True)
class Segment:
    """A file of a log, and how many bytes of it were appended in full."""

    path: Path
    size: int = 0

    @property
    def base(self) -> int:
        """The lowest offset it may hold."""
        return int(self.path.stem)


class SegmentedLog:
    """A log that one process writes; ``segments`` are in order, only the last is appended to."""

    def __init__(
        self,
        folder: Path,
        suffix: str,
        *,
        segment_bytes: int,
        durable: bool,
        next_offset: int = 0,
    ) -> None:
        """Open or create a log; its next frame gets ``next_offset`` or a higher offset.

        A durable log forces every append to the disk (fsync); one that is not survives the end of
        its process but not a crash of the machine. Raises OSError, or ConfigurationError if the
        log is in a superseded format.
        """
        make_private(folder)
        for unfinished in folder.glob(f"*{_NEW}"):
            unfinished.unlink()
        self.segments = [
            Segment(path, path.stat().st_size) for path in list_segments(folder, suffix)
        ]
        self.next_offset = next_offset
        self._folder = folder
        self._suffix = suffix
        self._segment_bytes = segment_bytes
        self._durable = durable
        self._file: int | None = None
        if self.segments:
            self.recover(self.segments[-1])

    @property
    def size(self) -> int:
        """How much disk the segments take."""
        return sum(segment.size for segment in self.segments)

    @property
    def active(self) -> Segment | None:
        """The segment that is being appended to."""
        return None if self._file is None else self.segments[-1]

    def recover(self, segment: Segment) -> Parsed:
        """Return what an earlier process wrote; cut off a frame that it did not finish."""
        parsed = self.read(segment)
        if parsed.is_torn:
            torn = parsed.gaps.pop()
            os.truncate(segment.path, torn.start)
            segment.size = torn.start
            _log.warning("cut off an unfinished write", file=str(segment.path), gap=torn)
        last = parsed.frames[-1] if parsed.frames else Frame(0, 0, segment.base, b"")
        # A disk that fails now may give frames back later: what fits into the rest stays reserved.
        reserved = (segment.size - last.end) // HEADER_BYTES
        self.next_offset = max(self.next_offset, last.offset + 1 + reserved)
        return parsed._replace(is_torn=False)

    def append(self, payloads: Sequence[bytes], *, min_offset: int = 0) -> None:
        """Append a frame for each payload, with offsets from ``min_offset`` on or higher ones.

        Raises OSError, with none of them kept.
        """
        first = max(self.next_offset, min_offset)
        segment, file = self._writable(first)
        end = first + len(payloads)
        data = b"".join(map(encode_frame, range(first, end), payloads))
        try:
            write_all(file, data)
            if self._durable:
                os.fdatasync(file)
                if not segment.size:
                    sync(self._folder)  # the name of a new file is not in the file
        except OSError:
            self._undo(segment, file, end)
            raise
        segment.size += len(data)
        self.next_offset = end

    def roll(self) -> None:
        """Close the active segment; the next append begins another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self, segment: Segment, start: int = 0) -> Parsed:
        """Return the frames of a segment from a byte on; what the disk has lost is a gap."""
        try:
            return read_segment(segment.path, start, segment.size)
        except OSError as cause:
            if cause.errno not in {errno.EIO, errno.ENOENT}:
                raise
            return Parsed([], [Gap(start, segment.size)])

    def rewrite(self, segment: Segment, frames: Iterable[tuple[int, bytes]]) -> None:
        """Replace a segment, as a whole or not at all, by these offsets and payloads."""
        if segment is self.active:
            self.roll()
        data = b"".join(encode_frame(offset, payload) for offset, payload in frames)
        replace_file(segment.path, segment.path.with_suffix(_NEW), data)
        segment.size = len(data)

    def delete(self, segment: Segment) -> None:
        """Delete a segment. Raises OSError; then it is still in ``segments``."""
        segment.path.unlink(missing_ok=True)
        self.detach(segment)

    def detach(self, segment: Segment) -> None:
        """Take a segment out of the log; its file stays."""
        if segment is self.active:
            self.roll()
        self.segments.remove(segment)

    def _writable(self, first: int) -> tuple[Segment, int]:
        if self._file is not None and self.segments[-1].size >= self._segment_bytes:
            self.roll()
        if self._file is None:
            path = self._folder / f"{first:020}{self._suffix}"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
            self.segments.append(Segment(path))
        return self.segments[-1], self._file

    def _undo(self, segment: Segment, file: int, end: int) -> None:
        """Remove what a failed write left; the file cannot be trusted with further writes."""
        try:
            os.ftruncate(file, segment.size)
            if not segment.size:
                self.delete(segment)
        except OSError as cause:
            self.next_offset = end  # some of its frames may be found after a restart
            _log.warning("a failed write stays", file=str(segment.path), cause=str(cause))
        self.roll()


def list_segments(folder: Path, suffix: str, begin: int = 0, end: int | None = None) -> list[Path]:
    """Return the segments that may hold offsets in ``[begin, end)``, in order."""
    paths = sorted(folder.glob(f"*{suffix}"))
    bases = [int(path.stem) for path in paths]
    return [
        path
        for path, base, following in zip(paths, bases, [*bases[1:], None], strict=False)
        if (following is None or following > begin) and (end is None or base < end)
    ]


def read_segment(path: Path, start: int = 0, size: int = -1) -> Parsed:
    """Return the frames of a segment's first ``size`` bytes, from ``start`` on.

    Raises OSError, or ConfigurationError if the segment is in a superseded format.
    """
    with path.open("rb") as file:
        data = file.read(size)
    if data.startswith(SUPERSEDED):
        raise ConfigurationError(
            f"{path} was written by an earlier version, in a format that this one does not read; "
            "let the earlier version finish with the folder, or move the folder away"
        )
    return parse(data, start)
