"""Live pictures: one feed per camera while it is watched, each variant encoded once for all.

A frame is shown once its boxes are known, so that people can be made unrecognizable in it. If no
frame gets boxes, the last one is shown reduced as a whole.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from msgspec.structs import replace

from trinetra.errors import BufferUnavailable, FrameRejected
from trinetra.events.schema import TrackPosition
from trinetra.ports import Clock, LatestFrames
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger
from trinetra.values import CameraId, Frame, Instant, seconds_between
from trinetra.web.live.redaction import (
    Label,
    Regions,
    cover,
    draw,
    hide_people,
    open_content,
    smaller,
    to_jpeg,
)
from trinetra.web.live.view import FrameKey, LiveView, SeenFrame

log = get_logger("web")
_WATCH_S, _POLL_S = 0.2, 0.5
"""Time between two frames of a stream, and of pictures that are only polled."""
_IDLE_S = 10.0
"""A feed ends this long after its last viewer."""
_PATIENCE_S = 2.0
"""Longest wait for the boxes of the first frame; without them it is then shown covered."""
_BEHIND_S = 120.0
"""A frame that is this much older than the newest is not shown for its boxes.

Boxes of a live camera come within 10 s or not at all, those of a recording on a slow machine later.
"""
_PENDING = 64
"""Frames of a camera that wait for their boxes."""
_FILM_PENDING = 600
"""The same of a recording, two minutes of it: every frame counts."""
AROUND_S = 0.6
"""What was detected at most this long before or after a frame is hidden in it as well."""
_RETRY_S = 2.0
SMALL_SIDE = 320
"""Longer side in pixels of a picture on the wall."""
_SMALL_EVERY_S = 0.9
"""Shortest time between two pictures of a camera on walls, which ask every second, each at another
moment: without it every frame would be encoded for one viewer or the other."""
_AT_ONCE = 2
"""Pictures that are made at the same time."""


class Variant(NamedTuple):
    """How a picture is shown."""

    is_clear: bool = False
    has_boxes: bool = False
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class LiveCamera:
    """A camera of the site; without ``finds_people`` all its pictures are coarse."""

    finds_people: bool = True


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A JPEG; ``tag`` changes with the frame. ``is_covered``: nothing is known of the frame."""

    jpeg: bytes
    tag: str
    captured_at: Instant
    is_covered: bool


class _Shown(NamedTuple):
    frame: Frame
    seen: SeenFrame | None


@dataclass(eq=False)
class _Film:
    """Frames that wait for the boxes in them and around them, in the order of capture."""

    waiting: OrderedDict[FrameKey, Frame] = field(default_factory=OrderedDict)
    last: FrameKey | None = None

    def take(self, frame: Frame) -> None:
        if (key := _key(frame)) != self.last:
            self.last = key
            self.waiting[key] = replace(frame, native_jpeg=None)  # it is large, and not shown
            if len(self.waiting) > _FILM_PENDING:
                self.waiting.popitem(last=False)

    def due(self, camera_id: CameraId, view: LiveView) -> list[_Shown]:
        """Return the frames around which everything is known, and forget them and those before."""
        found = ((key, view.frame(camera_id, key)) for key in self.waiting)
        known = [(key, seen) for key, seen in found if seen]
        due = [_Shown(self.waiting[key], seen) for key, seen in known if _is_past(seen, known[-1])]
        while due and self.waiting:
            key, _ = self.waiting.popitem(last=False)
            if key == _key(due[-1].frame):
                break
        return due


def _is_past(seen: SeenFrame, newest: tuple[FrameKey, SeenFrame]) -> bool:
    later = newest[1]
    return (
        seen.session != later.session
        or seconds_between(seen.captured_at, later.captured_at) >= AROUND_S
    )


class CameraFeed:
    """The frames of one camera; its task runs while pictures are asked for."""

    def __init__(self, camera_id: CameraId, kind: LiveCamera, hub: "PictureHub") -> None:
        self._camera_id = camera_id
        self._kind = kind
        self._hub = hub
        self._pending: OrderedDict[FrameKey, Frame] = OrderedDict()
        self._films: set[_Film] = set()
        self._arrived_s: dict[FrameKey, float] = {}
        self._shown: dict[bool, _Shown] = {}
        self._made: dict[Variant, LivePicture] = {}
        self._made_at_s: dict[Variant, float] = {}
        self._making = {Variant(*of): asyncio.Lock() for of in product((False, True), repeat=3)}
        self._changed = asyncio.Event()
        self._wanted_s = 0.0
        self._watchers = 0
        self._has_looked = False
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self.encoded = 0
        """Pictures encoded so far."""

    async def picture(self, variant: Variant) -> LivePicture | None:
        """Return the present picture; None if the camera has none of late.

        Waits for the first frame, and a while for its boxes. Raises BufferUnavailable.
        """
        if self._is_closed:
            return None
        self._want()
        await self._first_frame()
        return await self._make(variant)

    async def present(self, variant: Variant) -> LivePicture | None:
        """Return the present picture without waiting for a first one; None if there is none yet.

        A small one may be a second old.
        """
        if self._is_closed:
            return None
        self._want()
        shown, made = self._shown.get(variant.has_boxes), self._made.get(variant)
        if made and shown and (made.tag == _tag(shown, variant) or self._is_young(variant)):
            return made
        return await self._make(variant)

    def _is_young(self, variant: Variant) -> bool:
        age_s = self._hub.clock.monotonic() - self._made_at_s[variant]
        return variant.is_small and age_s < _SMALL_EVERY_S

    async def watch(self, variant: Variant) -> AsyncGenerator[LivePicture]:
        """Yield pictures as they come, until the feed is closed.

        A slow viewer gets the newest one each time.
        """
        self._watchers += 1
        last = ""
        try:
            while not self._is_closed:
                self._want()
                changed = self._changed
                picture = await self._make(variant)
                if picture and picture.tag != last:
                    last = picture.tag
                    yield picture
                else:
                    await changed.wait()
        finally:
            self._watchers -= 1

    async def film(self) -> AsyncGenerator[LivePicture]:
        """Yield a picture of every frame, up to 5 a second, in order, until the feed is closed.

        Unlike ``watch`` it leaves out no frame because the boxes of several come together, and it
        waits for the boxes after a frame, so that a person who is missed in it is hidden by those,
        too. Frames that nothing has looked at are left out. Heads are unrecognizable.
        """
        film = _Film()
        self._films.add(film)
        self._watchers += 1
        try:
            while not self._is_closed:
                self._want()
                changed = self._changed
                due = film.due(self._camera_id, self._hub.view)
                for shown in due:
                    if picture := await self._tried(shown, Variant()):
                        yield picture
                if not due:
                    await changed.wait()
        finally:
            self._watchers -= 1
            self._films.discard(film)

    @property
    def waiting(self) -> tuple[Frame, ...]:
        """The frames that were read, of which those may be shown whose boxes are known."""
        return tuple(self._pending.values())

    @property
    def kind(self) -> LiveCamera:
        """How the camera is shown."""
        return self._kind

    def change(self, kind: LiveCamera) -> None:
        """Show the camera in another way from now on."""
        if kind != self._kind:
            self._kind = kind
            self._made.clear()

    async def close(self) -> None:
        """Stop reading frames for good; viewers get no more pictures."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._notify()

    def _want(self) -> None:
        self._wanted_s = self._hub.clock.monotonic()
        if self._task is not None and self._task.done():
            ended, self._task = self._task, None
            ended.result()  # a failure is raised to the viewer
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"pictures-{self._camera_id}")

    async def _first_frame(self) -> None:
        while not (self._shown or self._is_closed) and (self._pending or not self._has_looked):
            if self._hub.outage.cause is not None:
                raise BufferUnavailable(self._hub.outage.cause)
            await self._changed.wait()
            if not self._is_closed:
                self._want()

    async def _run(self) -> None:
        try:
            while self._is_wanted():
                await self._look()
                await self._hub.clock.sleep(_WATCH_S if self._watchers else _POLL_S)
        finally:
            self._forget()
            self._has_looked = False
            self._notify()

    def _is_wanted(self) -> bool:
        return bool(self._watchers) or self._hub.clock.monotonic() - self._wanted_s <= _IDLE_S

    async def _look(self) -> None:
        try:
            frame = await self._hub.frames.latest(self._camera_id)
        except BufferUnavailable as cause:
            self._hub.outage.note(cause)
            self._notify()
            return
        self._hub.outage.end()
        if frame is None:
            self._forget()
        else:
            self._take(frame, self._hub.clock.monotonic())
        self._has_looked = True
        self._notify()

    def _forget(self) -> None:
        self._pending.clear()
        self._arrived_s.clear()
        self._shown.clear()
        self._made.clear()

    def _take(self, frame: Frame, now_s: float) -> None:
        for film in self._films:
            film.take(frame)
        key = _key(frame)
        if key not in self._pending:
            self._pending[key] = frame
            self._arrived_s[key] = now_s
        if len(self._pending) > _PENDING:
            self._thin_out()
        for has_boxes in (False, True):
            self._choose(now_s, has_boxes=has_boxes)

    def _thin_out(self) -> None:
        """Drop every second frame: however far behind its boxes come, some frame is left for them.

        And those that are too old to be shown at all.
        """
        keys = list(self._pending)
        oldest_s = self._arrived_s[keys[-1]] - _BEHIND_S
        for number, key in enumerate(keys[:-1]):
            if number % 2 or self._arrived_s[key] < oldest_s:
                del self._pending[key], self._arrived_s[key]

    def _choose(self, now_s: float, *, has_boxes: bool) -> None:
        """Choose the newest frame whose boxes are known, and with boxes preferably its tracks."""
        view = self._hub.view
        newest = next(reversed(self._pending))
        known = [
            key
            for key in reversed(self._pending)
            if view.frame(self._camera_id, key)
            and self._arrived_s[newest] - self._arrived_s[key] <= _BEHIND_S
        ]
        if has_boxes and (followed := [k for k in known if view.tracks(self._camera_id, k)]):
            known = followed
        if known:
            self._shown[has_boxes] = _Shown(
                self._pending[known[0]], view.frame(self._camera_id, known[0])
            )
        elif now_s - self._arrived_s[next(iter(self._pending))] >= _PATIENCE_S:
            self._shown[has_boxes] = _Shown(self._pending[newest], None)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _make(self, variant: Variant) -> LivePicture | None:
        """Return the picture of a variant, made at most once for each frame."""
        async with self._making[variant]:
            shown = self._shown.get(variant.has_boxes)
            if shown is None:
                return None
            tag = _tag(shown, variant)
            made = self._made.get(variant)
            if made is None or made.tag != tag:
                made = await self._tried(shown, variant)
                if made is not None:
                    self._made[variant] = made
                    self._made_at_s[variant] = self._hub.clock.monotonic()
            return made

    async def _tried(self, shown: _Shown, variant: Variant) -> LivePicture | None:
        """Return a picture of a frame; None, and a warning, if the frame cannot be shown."""
        try:
            return await self._encode(shown, variant, _tag(shown, variant))
        except FrameRejected as cause:
            log.warning("picture not shown", camera=self._camera_id, cause=str(cause))
            return None

    async def _encode(self, shown: _Shown, variant: Variant, tag: str) -> LivePicture:
        tracks = self._hub.view.tracks(self._camera_id, _key(shown.frame))
        near = self._hub.view.around(shown.seen, AROUND_S) if shown.seen else []
        labels = _labels(shown.seen, tracks.tracks if tracks else None) if variant.has_boxes else []
        regions = None if shown.seen is None else regions_of(near, tracks.tracks if tracks else ())
        is_coarse = not self._kind.finds_people and regions is not None
        async with self._hub.makers:
            jpeg = await asyncio.to_thread(
                _rendered,
                shown.frame,
                None if variant.is_clear else _Hiding(regions, is_coarse),
                labels,
                variant.is_small,
            )
        self.encoded += 1
        is_covered = regions is None and not variant.is_clear
        return LivePicture(jpeg, tag, shown.frame.captured_at, is_covered)


class _Hiding(NamedTuple):
    regions: Regions | None
    is_coarse: bool


def _rendered(
    frame: Frame,
    hiding: _Hiding | None,
    labels: list[Label],
    is_small: bool,  # noqa: FBT001  called by a thread
) -> bytes:
    image = open_content(frame)
    if hiding is not None and (hiding.regions is None or hiding.is_coarse):
        cover(image, is_coarse=hiding.is_coarse)
    if hiding is not None and hiding.regions is not None:
        hide_people(image, hiding.regions, frame.letterbox.scale)
    scale = frame.letterbox.scale
    if is_small:
        image, factor = smaller(image, SMALL_SIDE)
        scale *= factor
    draw(image, labels, scale)
    return to_jpeg(image)


def regions_of(near: list[SeenFrame], tracks: tuple[TrackPosition, ...] = ()) -> Regions:
    """Return what is hidden in a frame: all that was seen about its time."""
    return Regions(
        people=[box for seen in near for box in seen.people()]
        + [track.box for track in tracks if track.label == "person"],
        faces=[face.box for seen in near for face in seen.faces],
        plates=[box for seen in near for box in seen.plates()],
    )


def _labels(seen: SeenFrame | None, tracks: tuple[TrackPosition, ...] | None) -> list[Label]:
    if tracks is not None:
        return [Label(t.box, _text(t), t.kind.value if t.kind else "") for t in tracks]
    return [Label(one.box, "") for one in seen.objects] if seen else []


def _text(track: TrackPosition) -> str:
    """Return the end of a pseudonym or of a track's id, which tells neighbors apart."""
    return track.customer_id[-6:] if track.customer_id else track.track_id[-4:]


def _key(frame: Frame) -> FrameKey:
    return frame.session, frame.seq


def _tag(shown: _Shown, variant: Variant) -> str:
    faces = "clear" if variant.is_clear else "blurred" if shown.seen else "covered"
    way = f"{faces}{'-boxes' * variant.has_boxes}{'-small' * variant.is_small}"
    return f"{shown.frame.session:x}-{shown.frame.seq:x}-{way}"


class PictureHub:
    """The feeds of all cameras."""

    def __init__(
        self,
        frames: LatestFrames,
        view: LiveView,
        cameras: Mapping[CameraId, LiveCamera],
        clock: Clock,
    ) -> None:
        self.frames = frames
        self.view = view
        self.clock = clock
        self.makers = asyncio.Semaphore(_AT_ONCE)
        self.outage = OutageTracker(clock, log, "frame buffer", retry_s=_RETRY_S)
        self._feeds = {camera: CameraFeed(camera, kind, self) for camera, kind in cameras.items()}
        self._encoded_before = 0

    def feed(self, camera_id: str) -> CameraFeed | None:
        """Return the feed of a camera; None if the site has no such camera."""
        return self._feeds.get(CameraId(camera_id))

    @property
    def encoded(self) -> int:
        """Pictures encoded so far."""
        return self._encoded_before + sum(feed.encoded for feed in self._feeds.values())

    async def change(self, cameras: Mapping[CameraId, LiveCamera]) -> None:
        """Show other cameras from now on; the feeds of those that stay go on."""
        removed = [feed for camera, feed in self._feeds.items() if camera not in cameras]
        self._feeds = {
            camera: self._feeds.get(camera) or CameraFeed(camera, kind, self)
            for camera, kind in cameras.items()
        }
        for camera, kind in cameras.items():
            self._feeds[camera].change(kind)
        for feed in removed:
            await feed.close()
            self._encoded_before += feed.encoded

    async def close(self) -> None:
        """Stop all feeds."""
        await asyncio.gather(*(feed.close() for feed in self._feeds.values()))
