"""Index of recorded detections, in the order of capture over all cameras."""

import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.errors import ConfigurationError, StorageFull
from trinetra.events.topics import DETECTIONS
from trinetra.replay.event_history import EventHistory, FileHistory
from trinetra.replay.player import Detected
from trinetra.values import EPOCH, CameraId, Instant, SiteId, seconds_between

_FACES = "face_embed"
_DETECTION = re.compile(rb'"type"\s*:\s*"detection"')
_PROGRESS_EVERY = 5000


class _Head(msgspec.Struct):
    """Partial decoder: only the fields that an index of detections needs."""

    type: str
    camera_id: CameraId
    site_id: SiteId
    captured_at: Instant
    models: dict[str, str] = {}
    session: int = 0


_decoder = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval of capture times, ``[begin, end)``; None is unbounded."""

    begin: Instant | None = None
    end: Instant | None = None

    def holds(self, instant: Instant) -> bool:
        """Return whether an instant lies in the window."""
        return (self.begin is None or self.begin <= instant) and (
            self.end is None or instant < self.end
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """Detection events in a file: offset, length and camera of each.

    ``begin (n,)`` and ``length (n,)`` are in bytes, ``camera (n,)`` are indices into ``cameras``;
    rows are in the order of capture. ``model`` is the version of the model that read the faces,
    None if no event has faces; ``unreadable`` counts lines that are not an event.
    """

    path: Path
    site_id: SiteId
    model: str | None
    first_at: Instant
    last_at: Instant
    unreadable: int
    cameras: tuple[CameraId, ...]
    begin: NDArray[np.int64]
    length: NDArray[np.int32]
    camera: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.begin)

    def detections(self) -> Iterator[Detected]:
        """Yield the events in the order of capture."""
        with (
            self.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            rows = zip(self.begin.tolist(), self.length.tolist(), self.camera.tolist(), strict=True)
            for begin, length, camera in rows:
                yield self.cameras[camera], data[begin : begin + length]


@dataclass(slots=True)
class _Index:
    """The index of a file while the file is read from its beginning."""

    window: Window
    unreadable: int = 0
    position: int = 0
    _rows: list[tuple[float, int, int, int, float]] = field(default_factory=list)
    _shifts: dict[tuple[CameraId, int], float] = field(default_factory=dict)
    _latest_s: dict[CameraId, float] = field(default_factory=dict)
    _cameras: dict[CameraId, int] = field(default_factory=dict)
    _sites: dict[SiteId, int] = field(default_factory=dict)
    _models: dict[str, int] = field(default_factory=dict)

    def add(self, line: bytes) -> bool:
        """Add the next line of the file; return whether it is a detection in the window."""
        begin, self.position = self.position, self.position + len(line)
        head = self._head(line)
        if head is None or not self.window.holds(head.captured_at):
            return False
        camera = self._cameras.setdefault(head.camera_id, len(self._cameras))
        at_s = seconds_between(EPOCH, head.captured_at)
        self._rows.append((self._steady_s(head, at_s), begin, len(line.rstrip()), camera, at_s))
        self._sites[head.site_id] = self._sites.get(head.site_id, 0) + 1
        if model := head.models.get(_FACES):
            self._models[model] = self._models.get(model, 0) + 1
        return True

    def _steady_s(self, head: _Head, at_s: float) -> float:
        """Return the time of an event on a clock that is never set back.

        A camera's next session follows the one before, also if its clock was set back in between.
        """
        camera_id = head.camera_id
        latest_s = self._latest_s.get(camera_id, at_s)
        shift_s = self._shifts.setdefault((camera_id, head.session), max(0.0, latest_s - at_s))
        self._latest_s[camera_id] = max(latest_s, at_s + shift_s)
        return at_s + shift_s

    def recording(self, path: Path, past: EventHistory) -> Recording:
        """Return the recording. Raises ConfigurationError if it is empty or of several sites."""
        if not self._rows:
            raise ConfigurationError(
                f"{past} holds no detections of the time asked for: choose another --from and "
                "--to, or a file that `--events` wrote"
            )
        if len(self._sites) > 1:
            raise ConfigurationError(
                f"{past} holds events of several sites ({', '.join(sorted(self._sites))}): a "
                "replay needs those of one"
            )
        table = np.array(self._rows)
        order = np.lexsort((table[:, 1], table[:, 0]))
        return Recording(
            path=path,
            site_id=next(iter(self._sites)),
            model=max(self._models, key=lambda m: self._models[m], default=None),
            first_at=_instant(table[:, 4].min()),
            last_at=_instant(table[:, 4].max()),
            unreadable=self.unreadable,
            cameras=tuple(self._cameras),
            begin=table[order, 1].astype(np.int64),
            length=table[order, 2].astype(np.int32),
            camera=table[order, 3].astype(np.int32),
        )

    def _head(self, line: bytes) -> _Head | None:
        if _DETECTION.search(line) is None:
            return None
        try:
            head = _decoder.decode(line)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            return None
        if head.type != "detection":
            return None
        if head.captured_at.tzinfo is None:
            self.unreadable += 1
            return None
        return head


async def record(
    past: EventHistory, window: Window, folder: Path, progress: Callable[[int], None]
) -> Recording:
    """Return the detections of a history within a window.

    Those of a log are copied into ``folder``; a file is indexed where it is. ``progress`` is called
    with the number of events read so far.

    Raises ConfigurationError, EventLogUnavailable or StorageFull.
    """
    index = _Index(window)
    if isinstance(past, FileHistory):
        _index_file(past, index, progress)
        return index.recording(past.path, past)
    path = folder / "detections.jsonl"
    read = 0
    try:
        with path.open("wb") as copy:
            async for batch in past.read([DETECTIONS], since=window.begin or EPOCH):
                lines = [payload + b"\n" for payload in batch]
                for line in lines:
                    before = index.position
                    if index.add(line):
                        copy.write(line)
                    else:
                        index.position = before
                progress(read := read + len(lines))
    except OSError as cause:
        raise StorageFull(f"{path} cannot be written: {cause.strerror}; free space") from cause
    return index.recording(path, past)


def _index_file(past: FileHistory, index: _Index, progress: Callable[[int], None]) -> None:
    try:
        with past.path.open("rb") as lines:
            for number, line in enumerate(lines):
                index.add(line)
                if number % _PROGRESS_EVERY == 0:
                    progress(number)
    except OSError as cause:
        raise past.unreadable(cause) from cause


def _instant(seconds: float) -> Instant:
    return Instant.fromtimestamp(float(seconds), EPOCH.tzinfo)
