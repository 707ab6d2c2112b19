"""In-process frame buffer.

A real adapter, not a test double: frames are stored as bytes; groups, pending entries and claims
behave as in Redis Streams. Only durability is missing: the contents are lost when the process ends.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from trinetra.adapters.memory.event_log import Signal
from trinetra.events.codec import decode_frame, encode_frame
from trinetra.ports import CAMERA_FRAMES_MAX_BYTES, LATEST_FRAME_S, BufferedFrame, Clock
from trinetra.values import CameraId, Frame


class _Entry(NamedTuple):
    payload: bytes
    appended_s: float


@dataclass(slots=True)
class _Held:
    consumer: str
    since_s: float


@dataclass(slots=True)
class _GroupView:
    """One group's undelivered and pending entries in one camera's stream."""

    waiting: deque[int] = field(default_factory=deque)
    held: OrderedDict[int, _Held] = field(default_factory=OrderedDict)

    def needs(self, number: int) -> bool:
        return number in self.held or number in self.waiting


@dataclass(slots=True)
class _Stream:
    entries: OrderedDict[int, _Entry] = field(default_factory=OrderedDict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    groups: dict[str, _GroupView] = field(default_factory=dict)
    size_bytes: int = 0
    last: _Entry | None = None

    def add(self, number: int, entry: _Entry) -> None:
        self.entries[number] = self.last = entry
        self.size_bytes += len(entry.payload)

    def free(self, number: int) -> None:
        if (entry := self.entries.pop(number, None)) is not None:
            self.size_bytes -= len(entry.payload)


class MemoryFrameStreams:
    """The streams shared by every ``MemoryFrameBuffer`` of a process.

    Each camera keeps its newest ``max_frames``, of at most ``max_bytes`` encoded, but at least one,
    besides its last frame, which is kept to be shown when it is finished. An older frame is dropped
    even while a consumer holds it, and is counted unless every group had acknowledged it.
    """

    def __init__(
        self, clock: Clock, max_frames: int = 100, max_bytes: int = CAMERA_FRAMES_MAX_BYTES
    ) -> None:
        self.clock = clock
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.arrived = Signal(clock)
        self._streams: dict[CameraId, _Stream] = {}
        self._groups: set[str] = set()

    def join(self, group: str) -> None:
        """Create a group; it receives all frames still buffered and every new one."""
        if group not in self._groups:
            self._groups.add(group)
            for stream in self._streams.values():
                stream.groups[group] = _GroupView(deque(stream.entries))

    def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame, also when it was acknowledged; None if it has none."""
        last = self._streams[camera_id].last if camera_id in self._streams else None
        if last is None or self.clock.monotonic() - last.appended_s > LATEST_FRAME_S:
            return None
        return decode_frame(last.payload)

    def stream(self, camera_id: CameraId) -> _Stream:
        """Return a camera's stream; create it at its first use."""
        if camera_id not in self._streams:
            groups = {group: _GroupView() for group in self._groups}
            self._streams[camera_id] = _Stream(groups=groups)
        return self._streams[camera_id]

    def views(self, group: str) -> list[tuple[CameraId, _Stream, _GroupView]]:
        """Return the group's view of every stream."""
        return [(camera, s, s.groups[group]) for camera, s in self._streams.items()]

    def append(self, frame: Frame) -> int:
        """Append a frame; return how many unfinished ones were dropped."""
        stream = self.stream(frame.camera_id)
        number = next(stream.numbers)
        stream.add(number, _Entry(encode_frame(frame), self.clock.monotonic()))
        for view in stream.groups.values():
            view.waiting.append(number)
        dropped = 0
        while len(stream.entries) > 1 and (
            len(stream.entries) > self.max_frames or stream.size_bytes > self.max_bytes
        ):
            dropped += _drop_oldest(stream)
        self.arrived.notify()
        return dropped

    def finish(self, group: str, camera_id: CameraId, number: int) -> None:
        """Acknowledge an entry for a group; free it when no group needs it any more."""
        stream = self.stream(camera_id)
        stream.groups[group].held.pop(number, None)
        if not any(view.needs(number) for view in stream.groups.values()):
            stream.free(number)
        self.arrived.notify()


def _drop_oldest(stream: _Stream) -> int:
    number = next(iter(stream.entries))
    stream.free(number)
    unfinished = not stream.groups or any(v.needs(number) for v in stream.groups.values())
    for view in stream.groups.values():
        view.held.pop(number, None)
        if view.waiting and view.waiting[0] == number:
            view.waiting.popleft()
    return int(unfinished)


class MemoryFrameBuffer:
    """One consumer's (or the ingestor's) view of the shared frame streams."""

    def __init__(self, streams: MemoryFrameStreams, group: str, consumer: str) -> None:
        self._streams = streams
        self._group = group
        self._consumer = consumer
        self._turn = 0
        streams.join(group)

    async def append(self, frame: Frame) -> int:
        """Append a frame; return how many old ones were dropped to stay within the bound."""
        return self._streams.append(frame)

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, one of each camera in turn."""
        await self._streams.arrived.wait_until(self._any_waiting, wait_s)
        taken: list[BufferedFrame] = []
        views = self._streams.views(self._group)
        while len(taken) < max_frames and any(view.waiting for _, _, view in views):
            camera, stream, view = views[self._turn % len(views)]
            self._turn += 1
            if view.waiting:
                taken.append(self._hold(camera, stream, view, view.waiting.popleft()))
        return taken

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Acknowledge frames."""
        for buffered in frames:
            number = int(buffered.entry_id.rpartition(":")[2])
            self._streams.finish(self._group, buffered.frame.camera_id, number)

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that any consumer has left unacknowledged for ``idle_s``."""
        now_s = self._streams.clock.monotonic()
        claimed: list[BufferedFrame] = []
        for camera, stream, view in self._streams.views(self._group):
            idle = [n for n, held in view.held.items() if now_s - held.since_s >= idle_s]
            room = max_frames - len(claimed)
            claimed += [self._hold(camera, stream, view, number) for number in idle[:room]]
        return claimed

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera are undelivered or unacknowledged."""
        view = self._streams.stream(camera_id).groups[self._group]
        return len(view.waiting) + len(view.held)

    async def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame without taking it; None if it has none of late."""
        return self._streams.latest(camera_id)

    def _any_waiting(self) -> bool:
        return any(view.waiting for _, _, view in self._streams.views(self._group))

    def _hold(
        self, camera: CameraId, stream: _Stream, view: _GroupView, number: int
    ) -> BufferedFrame:
        view.held[number] = _Held(self._consumer, self._streams.clock.monotonic())
        entry = stream.entries[number]
        frame = decode_frame(entry.payload)
        return BufferedFrame(f"{camera}:{number}", frame, entry.appended_s)
