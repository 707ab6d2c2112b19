"""The journal's files: a folder per topic, in it segments named by the instant they begin at.

It blocks, and one thread at a time may write. The folders are private (mode 0700), for embeddings
are biometric data, and a ``lock`` keeps other writers out; anyone who may look in can read, also
while the writer writes. A segment holds at most one hour, so that what is deleted by age is at most
an hour older than it may be. Names only keep the order: where a clock was ahead once, they stay
ahead, and a segment is as old as its first block says. What was written last is not forced onto the
disk: it survives the end of the process, not that of the machine.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from trinetra.adapters.disk.journal_format import HEADER_BYTES, Entry, blocks_of, first_us, pack
from trinetra.adapters.disk.private_folder import (
    explained,
    keep_out_others,
    make_private,
    sync,
    write_all,
)
from trinetra.telemetry import get_logger
from trinetra.values import Instant, microseconds

_log = get_logger("journal")
_SUFFIX = ".journal"
_NEW = ".new"
_HOUR_US = 3_600_000_000
_LARGEST_SEGMENT, _SMALLEST_SEGMENT, _SEGMENTS = 16 << 20, 64 << 10, 32

Edit = Callable[[Entry], Entry | None]
"""What becomes of an entry: itself, another in its place, or None."""


class Mark(NamedTuple):
    """A place in a topic's journal: so many blocks of a segment lie before it."""

    name: str
    blocks: int


@dataclass(slots=True)
class _Open:
    """The segment that is being written."""

    path: Path
    file: int
    begun_us: int
    latest_us: int
    size: int = 0
    blocks: int = 0


class JournalFolder:
    """Everything the journal has on disk, with the one who may write it."""

    def __init__(self, folder: Path, *, max_bytes: int, retention_s: Mapping[str, float]) -> None:
        """Open or create the folder for the topics that ``retention_s`` names.

        Raises ConfigurationError when it cannot be used or another process has it, StorageFull.
        """
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(_LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, max_bytes // _SEGMENTS))
        self._retention_s = retention_s
        self._sizes: dict[Path, int] = {}
        self._begun_us: dict[Path, int] = {}
        self._open: dict[str, _Open] = {}
        self._ends: dict[str, Mark] = {}
        self._latest_us: dict[str, int] = {}
        with explained("journal", folder), ExitStack() as stack:
            make_private(folder)
            stack.callback(os.close, keep_out_others("journal", folder))
            for topic in retention_s:
                self._adopt(topic)
            self._closing = stack.pop_all()

    @property
    def bytes(self) -> int:
        """How much disk the segments take."""
        return sum(self._sizes.values())

    @property
    def is_too_large(self) -> bool:
        """Whether they take more than they may."""
        return self.bytes > self._max_bytes

    def end(self, topic: str) -> Mark:
        """Return the end of what is written of a topic."""
        return self._ends[topic]

    def append(self, topic: str, entries: Sequence[Entry]) -> None:
        """Write entries behind those before, as one block.

        Raises OSError, with nothing of them left behind.
        """
        segment = self._writable(topic, microseconds(entries[0].at))
        data = pack(entries)
        try:
            write_all(segment.file, data)
        except OSError:
            os.ftruncate(segment.file, segment.size)
            raise
        segment.size += len(data)
        segment.blocks += 1
        segment.latest_us = max(segment.latest_us, *(microseconds(entry.at) for entry in entries))
        self._sizes[segment.path] = segment.size
        self._ends[topic] = Mark(segment.path.name, segment.blocks)

    def prune(self, now: Instant) -> dict[Literal["age", "size"], int]:
        """Delete what is too old, and the oldest of what is too much; return how many segments."""
        now_us = microseconds(now)
        self._close_finished(now_us)
        old = [path for topic in self._retention_s for path in self._expired(topic, now_us)]
        for path in old:
            self._delete(path)
        surplus = 0
        for path in self._closed():
            if not self.is_too_large:
                break
            self._delete(path)
            surplus += 1
        return {"age": len(old), "size": surplus}

    def rewrite(self, edit: Edit) -> int:
        """Put every entry through ``edit``; return how many were changed or dropped.

        Raises StorageFull or ConfigurationError; what was rewritten until then stays so.
        """
        for topic in self._retention_s:
            self._close(topic)
        changed = 0
        with explained("journal", self.folder):
            for path in sorted(self._sizes):
                if found := _rewritten(path, edit):
                    changed += found
                    self._sizes[path] = path.stat().st_size
        return changed

    def close(self) -> None:
        """Close the files and let others in; may be called more than once."""
        for topic in self._retention_s:
            self._close(topic)
        self._closing.close()

    # --- segments -----------------------------------------------------------------------------

    def _adopt(self, topic: str) -> None:
        """Take over what an earlier process wrote; what it broke off within is cut."""
        make_private(self.folder / topic)
        paths = _segments(self.folder, topic)
        for path in paths:
            self._sizes[path] = path.stat().st_size
            self._begun_us[path] = _first_us(path)
        whole = list(blocks_of(paths[-1].read_bytes())) if paths else []
        if paths:
            self._cut(paths[-1], whole[-1].end if whole else 0)
        for left in (self.folder / topic).glob(f"*{_NEW}"):
            left.unlink()
        self._ends[topic] = Mark(paths[-1].name if paths else "", len(whole))
        begun_us = _begin_us(paths[-1]) if paths else 0
        self._latest_us[topic] = max([begun_us, *(block.last_us for block in whole)])

    def _cut(self, path: Path, end: int) -> None:
        if torn := self._sizes[path] - end:
            os.truncate(path, end)
            self._sizes[path] = end
            _log.warning("the journal's last write was broken off", path=str(path), bytes=torn)

    def _writable(self, topic: str, at_us: int) -> _Open:
        segment = self._open.get(topic)
        if segment is not None:
            if segment.size < self._segment_bytes and _hour(at_us) == _hour(segment.begun_us):
                return segment
            self._close(topic)
        begin_us = max(at_us, self._latest_us[topic] + 1)  # also where a clock ran backwards
        path = self.folder / topic / f"{begin_us:017d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._open[topic] = _Open(path, os.open(path, flags, 0o600), at_us, latest_us=begin_us)
        self._sizes[path] = 0
        self._begun_us[path] = at_us
        return self._open[topic]

    def _close(self, topic: str) -> None:
        if segment := self._open.pop(topic, None):
            self._latest_us[topic] = segment.latest_us
            os.close(segment.file)

    def _close_finished(self, now_us: int) -> None:
        """Close segments whose hour is over: to an idle topic nobody writes a next one."""
        for topic, segment in list(self._open.items()):
            if _hour(now_us) != _hour(segment.begun_us):
                self._close(topic)

    def _closed(self) -> list[Path]:
        written = {segment.path for segment in self._open.values()}
        closed = self._sizes.keys() - written
        return sorted(closed, key=lambda path: (self._begun_us[path], path.name))

    def _expired(self, topic: str, now_us: int) -> list[Path]:
        """Return what is too old of a topic, and of what a clock dates ahead what was before it."""
        kept_us = self._retention_s[topic] * 1_000_000
        closed = [path for path in self._closed() if path.parent.name == topic]
        expired, is_later_old = [], False
        for path in sorted(closed, reverse=True):
            begun_us = self._begun_us[path]
            is_old = (_hour(begun_us) + 1) * _HOUR_US + kept_us <= now_us
            is_later_old |= is_old
            if is_old or (begun_us > now_us and is_later_old):
                expired.append(path)
        return expired

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        del self._sizes[path], self._begun_us[path]


def read_journal(
    folder: Path, topics: Iterable[str], *, since: Instant, until: Instant | None = None
) -> Iterator[Entry]:
    """Yield what topics were given in ``[since, until)``, in the order of appending.

    For whoever asks, also while the writer writes; what is not on disk yet is not in it.
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
    begin: Mark | None = None,
    end: Mark | None = None,
) -> Iterator[Entry]:
    """Yield a topic's entries in order, those between two places of its journal if given."""
    paths = _segments(folder, topic)
    for path, following in zip(paths, [*paths[1:], None], strict=False):
        if following is not None and _begin_us(following) < since_us:
            continue  # all of it is older
        if (begin and path.name < begin.name) or (end and path.name > end.name):
            continue
        first = begin.blocks if begin and begin.name == path.name else 0
        last = end.blocks if end and end.name == path.name else None
        yield from _read_segment(path, since_us, until_us, slice(first, last))


def _read_segment(
    path: Path, since_us: int, until_us: int | None, wanted: slice
) -> Iterator[Entry]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return  # too old or too much, just now
    for block in list(blocks_of(data))[wanted]:
        if block.last_us < since_us or (until_us is not None and block.first_us >= until_us):
            continue
        for entry in block.entries():
            at_us = microseconds(entry.at)
            if since_us <= at_us and (until_us is None or at_us < until_us):
                yield entry


def _rewritten(path: Path, edit: Edit) -> int:
    """Put a segment's entries through ``edit``; its blocks stay as many, for readers count them."""
    packed, changed = [], 0
    if not path.exists():
        return 0  # somebody removed it, and what is not there names nobody
    for block in blocks_of(path.read_bytes()):
        before = block.entries()
        after = [edit(entry) for entry in before]
        changed += sum(new is not old for new, old in zip(after, before, strict=True))
        kept = [entry for entry in after if entry is not None]
        packed.append(pack(kept, (block.first_us, block.last_us)))
    if changed:
        _replace(path, b"".join(packed))
    return changed


def _replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(_NEW)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
    sync(path.parent)


def _segments(folder: Path, topic: str) -> list[Path]:
    return sorted((folder / topic).glob(f"*{_SUFFIX}"))


def _begin_us(path: Path) -> int:
    return int(path.stem)


def _first_us(path: Path) -> int:
    """Return when the first entry of a segment was appended."""
    with path.open("rb") as file:
        found = first_us(file.read(HEADER_BYTES))
    return _begin_us(path) if found is None else found


def _hour(at_us: int) -> int:
    return at_us // _HOUR_US
