"""The embedded gallery's collection on disk, with a purge that removes every byte of deleted data.

The engine only marks deleted points, rewrites segments at times of its own, and keeps operations in
its log. So a purge relies on none of that: it copies the live points into a new folder while the
old one keeps answering, and then deletes the old one.

Folders are numbered, and the lowest number is the gallery, since it was complete before the next
one was begun. The switch is a single rename of the old folder: a crash leaves one of the two,
complete, and the marker that data was deleted, so the purge is repeated.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import qdrant_edge as qdrant

from trinetra.adapters.disk.private_folder import sync
from trinetra.adapters.qdrant.points import StoredPoint
from trinetra.adapters.qdrant_edge.engine import Points, Refusal, expired_at, of_customer
from trinetra.adapters.qdrant_edge.protocol import Failure, Found, GalleryTuning, Page, Search

_POINTS_FOLDER = "shard"
_RETIRED_FOLDER = "gone"
_DELETED_SINCE = "deleted"
_LEFT_TO_THE_ENGINE = 0
"""Number of a folder without a suffix, from an older version that relied on the engine to purge,
which left faces in the files."""
_BLOCK_BYTES = 512
_POINTS_PER_STEP = 500


class Shard:
    """A collection of points in its folder; every method may raise Refusal."""

    def __init__(self, folder: Path, dimension: int, tuning: GalleryTuning) -> None:
        self._folder = folder
        self._dimension = dimension
        self._tuning = tuning
        self._number = self._tidy()
        if self._number == _LEFT_TO_THE_ENGINE:
            self._mark_deleted(0.0)
        self._points = Points(self._points_folder(self._number), dimension, tuning)
        self._rewrite: _Rewrite | None = None

    def _tidy(self) -> int:
        """Remove leftovers of an interrupted purge; return the number of the gallery's folder."""
        numbers = sorted(map(_number, self._folder.glob(f"{_POINTS_FOLDER}*")))
        for number in numbers[1:]:
            shutil.rmtree(self._points_folder(number))
        if (self._folder / _RETIRED_FOLDER).exists():
            shutil.rmtree(self._folder / _RETIRED_FOLDER)
        return numbers[0] if numbers else _LEFT_TO_THE_ENGINE + 1

    def _points_folder(self, number: int) -> Path:
        suffix = "" if number == _LEFT_TO_THE_ENGINE else f".{number}"
        return self._folder / f"{_POINTS_FOLDER}{suffix}"

    @property
    def unindexed(self) -> int:
        """The number of points that a search has to scan."""
        return self._points.unindexed

    @property
    def deleted_at(self) -> float | None:
        """Unix time of the earliest deletion that may not be purged yet, or None."""
        try:
            return (self._folder / _DELETED_SINCE).stat().st_mtime
        except FileNotFoundError:
            return None

    def _mark_deleted(self, at: float) -> None:
        mark = self._folder / _DELETED_SINCE
        mark.touch(mode=0o600)
        os.utime(mark, (at, at))
        sync(self._folder)

    def search(self, searches: Sequence[Search]) -> list[Found]:
        """Return the matches of several searches, executed as one batch of the engine."""
        return self._points.search(searches)

    def count(self) -> int:
        """Return the number of points."""
        return self._points.count()

    def scroll(self, start: str | None, limit: int) -> Page:
        """Return up to ``limit`` points in the order of their ids, and the id of the next one."""
        return self._points.scroll(start, limit)

    def get(self, entry_ids: Sequence[str]) -> Page:
        """Return the points of these entries, as far as they exist."""
        return self._points.get(entry_ids)

    def upsert(self, points: Sequence[StoredPoint]) -> int:
        """Insert or replace points; they are in the write-ahead log when this returns."""
        self._points.upsert(points)
        self._write_to_rewrite(lambda successor: successor.upsert(points))
        return len(points)

    def delete_customer(self, customer_id: str) -> int:
        """Delete every point of a customer; return how many there were."""
        return self._delete(of_customer(customer_id))

    def delete_expired(self, now_us: int) -> int:
        """Delete the points that expired at or before ``now_us``; return how many."""
        return self._delete(expired_at(now_us))

    def _delete(self, condition: qdrant.Filter) -> int:
        number = self._points.count(condition)
        if number:
            # Marked before the deletion, so that a crash in between cannot prevent the purge.
            if self.deleted_at is None:
                self._mark_deleted(time.time())
            self._points.delete(condition)
            self._write_to_rewrite(lambda successor: successor.delete(condition))
        return number

    def _write_to_rewrite(self, write: Callable[["_Rewrite"], object]) -> None:
        """Apply a write to the new folder too; if that fails, the purge is restarted later."""
        if self._rewrite is not None:
            try:
                write(self._rewrite)
            except Refusal:
                self._abandon_rewrite()

    @property
    def is_rewriting(self) -> bool:
        """True while a purge is in progress."""
        return self._rewrite is not None

    def purge_step(self) -> bool:
        """Begin a purge, or continue it by at most one step of copying or indexing.

        Return True once it is complete: no byte then remains of data deleted before it began.
        """
        try:
            if self._rewrite is None:
                self._rewrite = self._begin_rewrite()
            if not self._rewrite.step():
                return False
            self._replace_points(self._rewrite)
        except Refusal:
            self._abandon_rewrite()
            raise
        return True

    def _begin_rewrite(self) -> "_Rewrite":
        used = (path.stat().st_blocks for path in self._points_folder(self._number).rglob("*"))
        self._points.require_space(self._tuning.reserve_bytes + _BLOCK_BYTES * sum(used))
        folder = self._points_folder(self._number + 1)
        if folder.exists():
            shutil.rmtree(folder)
        return _Rewrite(self._points, Points(folder, self._dimension, self._tuning), self._tuning)

    def _replace_points(self, rewrite: "_Rewrite") -> None:
        if rewrite.target.count() != self._points.count():
            raise Refusal(Failure.REFUSED, "the rewritten files lack points; the old ones are kept")
        # The order matters for crashes: the new files must be on disk before the old folder is
        # renamed, and the marker is removed or moved on only after the old files are gone.
        rewrite.target.flush()
        _sync_all(self._points_folder(self._number + 1))
        self._points.close()
        retired = self._folder / _RETIRED_FOLDER
        self._points_folder(self._number).rename(retired)
        sync(self._folder)
        self._points, self._rewrite = rewrite.target, None
        self._number += 1
        shutil.rmtree(retired)
        if rewrite.deleted_at is None:
            (self._folder / _DELETED_SINCE).unlink(missing_ok=True)
        else:
            self._mark_deleted(rewrite.deleted_at)

    def _abandon_rewrite(self) -> None:
        if self._rewrite is not None:
            self._rewrite.target.close()
            self._rewrite = None
        shutil.rmtree(self._points_folder(self._number + 1), ignore_errors=True)

    def flush(self) -> None:
        """Sync everything to disk, and truncate the write-ahead log."""
        self._points.flush()

    def index(self) -> None:
        """Index new points, unless the disk has no space for the copies that indexing makes."""
        self._points.index()

    def close(self) -> None:
        """Flush and release the folder; a purge in progress is abandoned and still due."""
        self._abandon_rewrite()
        self._points.close()


class _Rewrite:
    """A new folder that receives all points of another, and the writes made meanwhile."""

    def __init__(self, source: Points, target: Points, tuning: GalleryTuning) -> None:
        self.target = target
        self.deleted_at: float | None = None
        self._source = source
        self._index_after = tuning.index_after
        self._copied_to: str | None = None
        self._copied_all = False

    def step(self) -> bool:
        """Index or copy some points; return True once there is nothing left to do."""
        if self.target.unindexed >= self._index_after:
            self.target.index()
        elif not self._copied_all:
            page = self._source.scroll(self._copied_to, _POINTS_PER_STEP)
            self.target.upsert(page.points)
            self._copied_to, self._copied_all = page.next_start, page.next_start is None
        else:
            return True
        return False

    def upsert(self, points: Sequence[StoredPoint]) -> None:
        """Insert or replace points, whether or not they have been copied yet."""
        self.target.upsert(points)

    def delete(self, condition: qdrant.Filter) -> None:
        """Delete points already copied; their bytes in the new files need another purge."""
        if self.deleted_at is None:
            self.deleted_at = time.time()
        self.target.delete(condition)


def _number(folder: Path) -> int:
    return int(folder.suffix[1:] or _LEFT_TO_THE_ENGINE)


def _sync_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        sync(path)
