"""The frame buffer on Redis Streams: one stream per camera, one consumer group.

A finished frame is deleted as it is acknowledged, so a stream holds unfinished frames alone: its
length is the lag, and what the bound costs is known exactly. Nothing here repeats a failed
operation; the next one connects anew, makes groups again that a flush took away, and first asks
for what the server already delivered to an answer that was lost.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import ResponseError

from trinetra.adapters import redis_scripts as scripts
from trinetra.adapters.redis_client import RedisClient
from trinetra.errors import ConfigurationError, FrameRejected
from trinetra.events.codec import decode_frame, encode_frame
from trinetra.events.topics import frames_stream
from trinetra.ports import BufferedFrame, Clock
from trinetra.telemetry import FRAMES_DROPPED, FRAMES_OVERTAKEN, get_logger
from trinetra.values import CameraId, Frame, SiteId

_log = get_logger("frame-buffer")
_FIELD = scripts.FIELD.encode()
# Redis trims whole nodes of 4 KB where it may trim roughly ("~"). A frame of that size has a node
# of its own, so rough is exact and cheap; smaller ones are trimmed one by one ("=").
_NODE_BYTES = 4096
# A vanished server is noticed at the end of a wait, so long waits are cut into several.
_LONGEST_WAIT_S = 5.0

_Fields = Mapping[bytes, bytes] | None
_Entry = tuple[CameraId, bytes, _Fields]
"""Camera, id, and the fields, None where the entry was trimmed while it was held."""


class RedisFrameBuffer:
    """One consumer's (or the ingestor's) view of the frame streams; make one with ``open``."""

    name = "frame buffer"

    def __init__(
        self,
        client: RedisClient,
        *,
        group: str,
        consumer: str,
        cameras: Sequence[CameraId],
        site_id: SiteId,
        clock: Clock,
        namespace: str = "",
        max_frames: int = 100,
    ) -> None:
        self._client = client
        self._redis = client.redis
        self._group = group
        self._consumer = consumer
        self._site_id = site_id
        self._clock = clock
        self._namespace = namespace
        self._prefix = f"{namespace}:" if namespace else ""
        self._site_key = f"{self._prefix}trinetra:site"
        self._max_frames = max_frames
        self._cameras = deque(cameras)
        self._join = self._redis.register_script(scripts.JOIN)
        self._append = self._redis.register_script(scripts.APPEND)
        self._take = self._redis.register_script(scripts.TAKE)
        self._claim = self._redis.register_script(scripts.CLAIM)
        self._finish = self._redis.register_script(scripts.FINISH)
        self._delivered: deque[BufferedFrame] = deque()
        self._handed_out: set[str] = set()
        self._unsure = True

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        group: str,
        consumer: str,
        cameras: Sequence[CameraId],
        site_id: SiteId,
        clock: Clock,
        namespace: str = "",
        max_frames: int = 100,
        answer_s: float = 2.0,
    ) -> AsyncIterator["RedisFrameBuffer"]:
        """Connect, claim the names for the site and join the group of every camera.

        A consumer that comes back under its old name is first given what it held when it went.
        Raises BufferUnavailable when no server answers, ConfigurationError when the URL, the login
        or the version is wrong, or when the names are another site's.
        """
        async with RedisClient.open(url, answer_s=answer_s) as client:
            buffer = cls(
                client,
                group=group,
                consumer=consumer,
                cameras=cameras,
                site_id=site_id,
                clock=clock,
                namespace=namespace,
                max_frames=max_frames,
            )
            await buffer.join()
            yield buffer

    async def check(self) -> str:
        """Return which server answers; raises BufferUnavailable when none does."""
        return f"Redis {await self._client.version()} at {self._client.where}"

    async def join(self) -> None:
        """Claim the names for the site and make the groups that are missing."""
        async with self._answering():
            await self._join([self._site_key, *self._streams()], [self._site_id, self._group])

    async def append(self, frame: Frame) -> int:
        """Add a frame; return how many old ones were dropped to stay within the bound."""
        payload = encode_frame(frame)
        trim = "~" if len(payload) >= _NODE_BYTES else "="
        async with self._answering():
            return int(
                await self._append(
                    [self._site_key, self._stream(frame.camera_id)],
                    [self._site_id, trim, self._max_frames, payload],
                )
            )

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, a share of each camera in turn."""
        ends_at_s = self._clock.monotonic() + wait_s
        async with self._delivering():
            if self._unsure:
                await self._recall()
            while not self._delivered:
                self._delivered += await self._take_now(max_frames)
                left_s = ends_at_s - self._clock.monotonic()
                if self._delivered or left_s <= 0:
                    break
                self._delivered += await self._wait(min(left_s, _LONGEST_WAIT_S))
        count = min(max_frames, len(self._delivered))
        return self._hand_out([self._delivered.popleft() for _ in range(count)])

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Declare frames done."""
        entries = [(f.frame.camera_id, f.entry_id.rpartition(":")[2].encode()) for f in frames]
        await self._forget(entries)
        self._handed_out.difference_update(f.entry_id for f in frames)

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that some consumer has held for ``idle_s`` without acknowledging."""
        if not self._cameras:
            return []
        cameras = list(self._cameras)
        async with self._delivering():
            async with self._answering():
                taken, trimmed, nameless = await self._claim(
                    self._streams(),
                    [self._group, self._consumer, round(idle_s * 1000), max_frames],
                )
            self._unsure = self._unsure or nameless > 0
            for index, count in trimmed:
                _count_overtaken(cameras[index], count)
            claimed = await self._readable(_scripted(cameras, taken))
        ids = {buffered.entry_id for buffered in claimed}
        self._delivered = deque(b for b in self._delivered if b.entry_id not in ids)
        return self._hand_out(claimed)

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera wait or are held unacknowledged."""
        async with self._answering():
            return int(await self._redis.xlen(self._stream(camera_id)))

    # --- getting entries

    async def _take_now(self, room: int) -> list[BufferedFrame]:
        """Take what is there, beginning after the camera that was served last."""
        if not self._cameras:
            return []
        cameras = list(self._cameras)
        async with self._answering():
            taken = await self._take(
                [self._site_key, *self._streams()],
                [self._site_id, self._group, self._consumer, room],
            )
        entries = _scripted(cameras, taken)
        if entries:
            self._cameras.rotate(-cameras.index(entries[-1][0]) - 1)
        return await self._readable(entries)

    async def _wait(self, wait_s: float) -> list[BufferedFrame]:
        """Return the next entry as it arrives, and seldom one each of several cameras."""
        if not self._cameras:
            await self._clock.sleep(wait_s)
            return []
        block_ms = max(1, math.ceil(wait_s * 1000))  # 0 would mean for ever
        return await self._readable(await self._read_group(">", count=1, block_ms=block_ms))

    async def _recall(self) -> None:
        """Ask for everything delivered to this consumer that it has never handed out.

        After a lost answer, or in a process of the same name that died, nobody else would see to
        these before they have been idle for long.
        """
        self._delivered.clear()
        if self._cameras:
            await self.join()
            held = await self._readable(await self._read_group("0", count=self._max_frames))
            self._delivered += [b for b in held if b.entry_id not in self._handed_out]
        self._unsure = False

    async def _read_group(
        self, start: str, *, count: int, block_ms: int | None = None
    ) -> list[_Entry]:
        """Read every stream; nothing where a group is missing, which the next ``TAKE`` mends."""
        cameras = {self._stream(camera).encode(): camera for camera in self._cameras}
        async with self._answering((block_ms or 0) / 1000):
            try:
                reply: Any = await self._redis.xreadgroup(
                    self._group,
                    self._consumer,
                    dict.fromkeys(cameras, start),
                    count=count,
                    block=block_ms,
                )
            except ResponseError as refused:
                if not str(refused).startswith(("NOGROUP", "UNBLOCKED")):
                    raise
                return []
        return [
            (cameras[stream], entry_id, fields)
            for stream, entries in reply
            for entry_id, fields in entries
        ]

    async def _readable(self, entries: Iterable[_Entry]) -> list[BufferedFrame]:
        """Return the frames; what is none, or is gone, is acknowledged and counted."""
        frames: list[BufferedFrame] = []
        useless: list[tuple[CameraId, bytes]] = []
        for camera, entry_id, fields in entries:
            try:
                frame = _frame_of(camera, fields)
            except FrameRejected as rejected:
                FRAMES_DROPPED.labels(camera, rejected.reason).inc()
                _log.warning("frame rejected", camera=camera, problem=str(rejected))
                frame = None
            if frame is None:
                useless.append((camera, entry_id))
            else:
                frames.append(BufferedFrame(f"{camera}:{entry_id.decode()}", frame))
        await self._forget(useless)
        return frames

    async def _forget(self, entries: Sequence[tuple[CameraId, bytes]]) -> None:
        if not entries:
            return
        cameras = list(dict.fromkeys(camera for camera, _ in entries))
        pairs = [part for camera, entry_id in entries for part in (cameras.index(camera), entry_id)]
        async with self._answering():
            await self._finish([self._stream(c) for c in cameras], [self._group, *pairs])

    def _hand_out(self, frames: list[BufferedFrame]) -> list[BufferedFrame]:
        self._handed_out.update(buffered.entry_id for buffered in frames)
        return frames

    # --- names and failures

    def _stream(self, camera_id: CameraId) -> str:
        return f"{self._prefix}{frames_stream(camera_id)}"

    def _streams(self) -> list[str]:
        return [self._stream(camera_id) for camera_id in self._cameras]

    @asynccontextmanager
    async def _delivering(self) -> AsyncIterator[None]:
        """Note, when this is left early, that the server may have delivered what nobody got."""
        try:
            yield
        except BaseException:
            self._unsure = True
            raise

    @asynccontextmanager
    async def _answering(self, extra_s: float = 0.0) -> AsyncIterator[None]:
        async with self._client.answering(extra_s):
            try:
                yield
            except ResponseError as refused:
                code, _, owner = str(refused).partition(" ")
                if code != scripts.OTHER_SITE:
                    raise
                raise ConfigurationError(
                    f"Redis at {self._client.where} buffers the frames of site {owner}, and this "
                    f"is site {self._site_id}: give one of them another TRINETRA_NAMESPACE (here "
                    f'it is "{self._namespace}"). If {owner} is gone for good, delete the key '
                    f"{self._site_key}"
                ) from None


def _frame_of(camera: CameraId, fields: _Fields) -> Frame | None:
    """Return the frame, None where it was trimmed; raises FrameRejected when it is none."""
    if fields is None:
        _count_overtaken(camera, 1)
        return None
    if _FIELD not in fields:
        raise FrameRejected(f"a stream entry has no field {scripts.FIELD}")
    frame = decode_frame(fields[_FIELD])
    if frame.camera_id != camera:
        raise FrameRejected(f"a frame of camera {frame.camera_id} lies in another's stream")
    return frame


def _count_overtaken(camera: CameraId, count: int) -> None:
    FRAMES_OVERTAKEN.labels(camera).inc(count)
    _log.warning("held frames gave way to newer ones", camera=camera, frames=count)


def _scripted(cameras: Sequence[CameraId], taken: Iterable[Any]) -> list[_Entry]:
    """Return entries as a script tells them: index of the stream, id, field and value in turn."""
    return [
        (cameras[index], entry_id, fields and dict(zip(fields[::2], fields[1::2], strict=True)))
        for index, entry_id, fields in taken
    ]
