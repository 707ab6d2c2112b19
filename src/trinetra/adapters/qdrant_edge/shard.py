"""The embedded gallery's collection on disk, which leaves no byte of what was deleted behind.

The engine only marks deleted points, rewrites a segment when it sees fit, and keeps in its log what
it was told. So a purge relies on none of that: it carries the live points over into a fresh folder
beside, while the old one goes on answering, and then takes the old one away.

Folders are numbered, and the lowest is the gallery, since it was complete before another was begun.
The one step that makes the next the lowest is renaming the old: a crash leaves either of the two,
whole, and the mark that something was deleted, so the purge is done again.
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
_GONE_FOLDER = "gone"
_DELETED_SINCE = "deleted"
_LEFT_TO_THE_ENGINE = 0
"""Folders without a number were purged by the engine, which left faces in them."""
_BLOCK_BYTES = 512
_POINTS_PER_STEP = 500


class Shard:
    """One collection of points in its folder; every method may raise Refusal."""

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
        """Remove what a crash left of a purge, and return the number of the gallery's folder."""
        numbers = sorted(map(_number, self._folder.glob(f"{_POINTS_FOLDER}*")))
        for number in numbers[1:]:
            shutil.rmtree(self._points_folder(number))
        if (self._folder / _GONE_FOLDER).exists():
            shutil.rmtree(self._folder / _GONE_FOLDER)
        return numbers[0] if numbers else _LEFT_TO_THE_ENGINE + 1

    def _points_folder(self, number: int) -> Path:
        suffix = "" if number == _LEFT_TO_THE_ENGINE else f".{number}"
        return self._folder / f"{_POINTS_FOLDER}{suffix}"

    @property
    def unindexed(self) -> int:
        """How many points a search has to scan."""
        return self._points.unindexed

    @property
    def deleted_at(self) -> float | None:
        """When the first of the points was deleted that may still be in the files, in Unix time."""
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
        """Return the matches of several searches, run as one batch of the engine."""
        return self._points.search(searches)

    def count(self) -> int:
        """Return the number of points."""
        return self._points.count()

    def scroll(self, start: str | None, limit: int) -> Page:
        """Return some points in the order of their ids, and where to go on."""
        return self._points.scroll(start, limit)

    def upsert(self, points: Sequence[StoredPoint]) -> int:
        """Add or replace points; when this returns they are in the write-ahead log."""
        self._points.upsert(points)
        self._also(lambda successor: successor.upsert(points))
        return len(points)

    def delete_customer(self, customer_id: str) -> int:
        """Remove every point of a customer and return how many there were."""
        return self._delete(of_customer(customer_id))

    def delete_expired(self, now_us: int) -> int:
        """Remove the points that expired at or before ``now_us`` and return how many."""
        return self._delete(expired_at(now_us))

    def _delete(self, doomed: qdrant.Filter) -> int:
        number = self._points.count(doomed)
        if number:
            if self.deleted_at is None:
                self._mark_deleted(time.time())
            self._points.delete(doomed)
            self._also(lambda successor: successor.delete(doomed))
        return number

    def _also(self, write: Callable[["_Rewrite"], object]) -> None:
        """Write to the folder in the making, too; where that fails it is begun anew later."""
        if self._rewrite is not None:
            try:
                write(self._rewrite)
            except Refusal:
                self._abandon_rewrite()

    @property
    def is_rewriting(self) -> bool:
        """Whether a purge is under way."""
        return self._rewrite is not None

    def purge_step(self) -> bool:
        """Begin a purge, or carry it on by at most one step of copying or of indexing.

        Return True once it is complete: then no byte is left of what was deleted before it began.
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
        rewrite.target.flush()
        _sync_all(self._points_folder(self._number + 1))
        self._points.close()
        gone = self._folder / _GONE_FOLDER
        self._points_folder(self._number).rename(gone)
        sync(self._folder)
        self._points, self._rewrite = rewrite.target, None
        self._number += 1
        shutil.rmtree(gone)
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
        """Bring everything to the disk itself, and shorten the write-ahead log."""
        self._points.flush()

    def index(self) -> None:
        """Index what is not indexed yet, unless the disk is too full for the copies it makes."""
        self._points.index()

    def close(self) -> None:
        """Flush and release the folder; a purge that is under way is still due."""
        self._abandon_rewrite()
        self._points.close()


class _Rewrite:
    """A folder in the making, which gets what another holds and what is written meanwhile."""

    def __init__(self, source: Points, target: Points, tuning: GalleryTuning) -> None:
        self.target = target
        self.deleted_at: float | None = None
        self._source = source
        self._index_after = tuning.index_after
        self._copied_to: str | None = None
        self._copied_all = False

    def step(self) -> bool:
        """Index, or else copy some points; return True once there is nothing left to do."""
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
        """Add or replace points, whether or not they have been copied yet."""
        self.target.upsert(points)

    def delete(self, doomed: qdrant.Filter) -> None:
        """Delete what has been copied; what is in the files from now on takes another purge."""
        if self.deleted_at is None:
            self.deleted_at = time.time()
        self.target.delete(doomed)


def _number(folder: Path) -> int:
    return int(folder.suffix[1:] or _LEFT_TO_THE_ENGINE)


def _sync_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        sync(path)
