"""Recordings of cameras for counts by hand: short, with unrecognizable heads, and erased soon.

TRINETRA keeps no video. A person who counts a line needs pause and a step back, so that a user may
record one camera for ten minutes at most. What is kept are the pictures that the page Live shows,
in a private temporary folder: until the count is saved, the recording is deleted, a customer is
erased, a day has passed, or the process ends, whichever is first. What a killed process left is
removed by the next one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from trinetra.adapters.disk.audit import AuditLog
from trinetra.adapters.disk.picture_file import PictureFile
from trinetra.adapters.disk.temp_copies import temp_copy_folder
from trinetra.client.models import AuditRecording, NewRecording, RecordingIndex
from trinetra.errors import TrinetraError
from trinetra.events.schema import AnyEvent, LifecycleEvent
from trinetra.ports import Clock
from trinetra.streaming.concurrency import run_until
from trinetra.telemetry import get_logger
from trinetra.values import Instant, seconds_between
from trinetra.web.live.pictures import CameraFeed, PictureHub
from trinetra.web.problems import Conflict, NotFound

log = get_logger("web")
MAX_RECORDINGS = 4
MAX_BYTES = 256 << 20
"""Of one recording: ten minutes at 5 pictures a second are about 150 MB at most."""
KEPT = timedelta(hours=24)
_LOOK_S = 60.0
"""How often the age is looked at: timers stand still while a machine is suspended."""


@dataclass(eq=False)
class _Recording:
    name: str
    camera_id: str
    by: str
    started_at: Instant
    ends_at: Instant
    file: PictureFile
    times: list[Instant] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None
    task: asyncio.Task[None] | None = None

    @property
    def erased_at(self) -> Instant:
        return self.started_at + KEPT

    def told(self) -> AuditRecording:
        return AuditRecording(
            id=self.name,
            camera=self.camera_id,
            by=self.by,
            started_at=self.started_at,
            ends_at=self.ends_at,
            erased_at=self.erased_at,
            is_recording=not self.ended.is_set(),
            pictures=len(self.times),
            bytes=self.file.size_bytes,
            first_at=self.times[0] if self.times else None,
            last_at=self.times[-1] if self.times else None,
            problem=self.problem,
        )


class AuditRecordings:
    """The recordings of this process; ``take`` is fed with every event."""

    def __init__(
        self,
        pictures: Callable[[], PictureHub | None],
        data_dir: Path,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._pictures = pictures
        self._data_dir = data_dir
        self._clock = clock
        self._max_bytes = max_bytes
        self._trail = AuditLog(data_dir / "audit")
        self._kept: dict[str, _Recording] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._folder: Path | None = None
        self._stack = ExitStack()

    async def start(self, wanted: NewRecording, by: str) -> AuditRecording:
        """Record a camera from now on; that it is recorded is entered in the audit log first.

        Raises NotFound, Conflict, StorageFull or ConfigurationError; then nothing is recorded.
        """
        self._raise_failure()
        feed = self._feed(wanted.camera)
        async with self._starting:
            self._check_room(wanted.camera)
            now = self._clock.now()
            detail = f"camera {wanted.camera}, at most {wanted.minutes:g} min"
            await asyncio.to_thread(
                self._trail.append, now, "record_for_audit", "everybody", detail, by=by
            )
            name = uuid4().hex
            path = await self._private_folder() / name
            file = await asyncio.to_thread(PictureFile, path, self._max_bytes)
            ends_at = now + timedelta(minutes=wanted.minutes)
            recording = _Recording(name, wanted.camera, by, now, ends_at, file)
            self._kept[name] = recording
        recording.task = asyncio.create_task(self._keep(recording, feed), name=f"recording-{name}")
        self._tasks.add(recording.task)
        return recording.told()

    def recordings(self) -> Sequence[AuditRecording]:
        """Return the recordings that are kept, the latest first."""
        self._raise_failure()
        return [recording.told() for recording in reversed(self._kept.values())]

    def index(self, recording_id: str) -> RecordingIndex:
        """Return a recording with the times of its pictures. Raises NotFound."""
        recording = self._of(recording_id)
        return RecordingIndex(recording=recording.told(), times=tuple(recording.times))

    async def picture(self, recording_id: str, number: int) -> tuple[bytes, Instant]:
        """Return a picture as JPEG, and when it was taken. Raises NotFound."""
        recording = self._of(recording_id)
        if not 0 <= number < len(recording.times):
            raise NotFound(f"this recording has {len(recording.times)} pictures, from 0 on")
        jpeg = await asyncio.to_thread(recording.file.read, number)
        if jpeg is None:
            raise _gone()
        return jpeg, recording.times[number]

    async def end(self, recording_id: str) -> AuditRecording:
        """End a recording early; what it has is kept. Raises NotFound."""
        recording = self._of(recording_id)
        recording.stopping.set()
        await recording.ended.wait()
        return recording.told()

    async def erase(self, recording_id: str) -> bool:
        """Erase a recording; return whether there was one."""
        recording = self._kept.get(recording_id)
        if recording is None:
            return False
        self._erase(recording)
        return True

    def take(self, event: AnyEvent) -> None:
        """Erase all recordings when a person is erased: nothing tells who is in which picture."""
        if isinstance(event, LifecycleEvent) and event.change == "erased" and self._kept:
            log.info("recordings for audits erased with a customer", number=len(self._kept))
            for recording in list(self._kept.values()):
                self._erase(recording)

    async def close(self) -> None:
        """Erase all recordings and the folder."""
        for recording in list(self._kept.values()):
            self._erase(recording)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._stack.close)

    def _feed(self, camera_id: str) -> CameraFeed:
        pictures = self._pictures()
        if pictures is None:
            raise NotFound("this process has no pictures of the cameras that it could record")
        feed = pictures.feed(camera_id)
        if feed is None:
            raise NotFound(f"the site has no camera {camera_id}")
        return feed

    def _check_room(self, camera_id: str) -> None:
        for recording in self._kept.values():
            if recording.camera_id == camera_id and not recording.ended.is_set():
                raise Conflict(f"camera {camera_id} is being recorded already")
        if len(self._kept) >= MAX_RECORDINGS:
            raise Conflict(
                f"{MAX_RECORDINGS} recordings are kept already: count one of them, or delete it"
            )

    async def _private_folder(self) -> Path:
        if self._folder is None:
            opening = temp_copy_folder(self._data_dir)
            self._folder = await asyncio.to_thread(self._stack.enter_context, opening)
        return self._folder

    async def _keep(self, recording: _Recording, feed: CameraFeed) -> None:
        """Record, and keep what was recorded until it is too old."""
        timer = asyncio.create_task(self._end_in_time(recording))
        try:
            try:
                await run_until(recording.stopping, self._record(recording, feed))
            except TrinetraError as cause:
                recording.problem = str(cause)
            recording.ended.set()
            while (left_s := seconds_between(self._clock.now(), recording.erased_at)) > 0:
                await self._clock.sleep(min(left_s, _LOOK_S))
        finally:
            timer.cancel()
            self._erase(recording)

    async def _end_in_time(self, recording: _Recording) -> None:
        await self._clock.sleep(seconds_between(self._clock.now(), recording.ends_at))
        recording.stopping.set()

    async def _record(self, recording: _Recording, feed: CameraFeed) -> None:
        filming = feed.film()
        try:
            async for picture in filming:
                if recording.times and picture.captured_at <= recording.times[-1]:
                    continue  # the camera's clock was set back
                if not await asyncio.to_thread(recording.file.append, picture.jpeg):
                    recording.problem = "the recording ended early: it has reached its largest size"
                    return
                recording.times.append(picture.captured_at)
        finally:
            await filming.aclose()
        recording.problem = "the recording ended early: the site has this camera no more"

    def _erase(self, recording: _Recording) -> None:
        recording.file.erase()
        recording.ended.set()
        self._kept.pop(recording.name, None)
        if recording.task and recording.task is not asyncio.current_task():
            recording.task.cancel()

    def _of(self, recording_id: str) -> _Recording:
        if (recording := self._kept.get(recording_id)) is None:
            raise _gone()
        return recording

    def _raise_failure(self) -> None:
        """Raise what no one could expect, to the next caller."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            if not task.cancelled():
                task.result()


def _gone() -> NotFound:
    return NotFound(
        "there is no such recording: it was counted, deleted, or erased with a customer or by age"
    )
