"""The frame buffer on Redis Streams: one stream per camera, one consumer group.

A finished frame is deleted as it is acknowledged, so a stream holds unfinished frames alone: its
length is the lag, and what the bound costs is known exactly. Nothing here repeats a failed
operation; the next one connects anew, makes groups again that a flush took away, and first asks
for what the server already delivered to an answer that was lost.
"""

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from trinetra.adapters.redis import scripts
from trinetra.adapters.redis.client import RedisClient
from trinetra.adapters.redis.lease import CameraLeases
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
# For so long after every camera was found empty, hardly more than one frame can have come.
_EMPTY_FOR_S = 0.005

_Fields = Mapping[bytes, bytes] | None
_Entry = tuple[CameraId, bytes, _Fields]
"""Camera, id, and the fields: none where the entry was trimmed while it was held."""


@dataclass(frozen=True, slots=True)
class FrameStreams:
    """The frame streams of a site: one for each camera, of at most ``max_frames`` frames.

    ``namespace`` keeps the keys of several shops on one server apart.
    """

    site_id: SiteId
    cameras: Sequence[CameraId]
    namespace: str = ""
    max_frames: int = 100


class RedisFrameBuffer:
    """One consumer's (or the ingestor's) view of the frame streams; make one with ``open``."""

    name = "frame buffer"

    def __init__(
        self,
        client: RedisClient,
        streams: FrameStreams,
        *,
        group: str,
        consumer: str,
        clock: Clock,
    ) -> None:
        self._client = client
        self._redis = client.redis
        self._group = group
        self._consumer = consumer
        self._site_id = streams.site_id
        self._clock = clock
        self._namespace = streams.namespace
        self._prefix = f"{streams.namespace}:" if streams.namespace else ""
        self._site_key = f"{self._prefix}trinetra:site"
        self._max_frames = streams.max_frames
        self._cameras = deque(streams.cameras)
        self._join = self._redis.register_script(scripts.JOIN)
        self._claim = self._redis.register_script(scripts.CLAIM)
        self._finish = self._redis.register_script(scripts.FINISH)
        self._leases = CameraLeases(
            self._redis, client.answering, clock, prefix=self._prefix, name=consumer
        )
        self._delivered: deque[BufferedFrame] = deque()
        self._handed_out: set[str] = set()
        self._unsure = True
        self._empty_at_s = -math.inf

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        streams: FrameStreams,
        *,
        group: str,
        consumer: str,
        clock: Clock,
        answer_s: float = 2.0,
    ) -> AsyncIterator["RedisFrameBuffer"]:
        """Connect, claim the names for the site and join the group of every camera.

        A consumer that comes back under its old name is first given what it held when it went.
        Raises BufferUnavailable when no server answers, ConfigurationError when the URL, the login
        or the version is wrong, or when the names are another site's.
        """
        async with RedisClient.open(url, answer_s=answer_s) as client:
            buffer = cls(client, streams, group=group, consumer=consumer, clock=clock)
            await buffer.join()
            try:
                yield buffer
            finally:
                await buffer._leases.release()

    async def check(self) -> str:
        """Return which server answers; raises BufferUnavailable when none does."""
        return f"Redis {await self._client.version()} at {self._client.where}"

    async def join(self) -> None:
        """Claim the names for the site and make the groups that are missing."""
        async with self._at_home():
            await self._join([self._site_key, *self._streams()], [self._site_id, self._group])

    async def append(self, frame: Frame) -> int:
        """Add a frame; return how many old ones were dropped to stay within the bound.

        Raises CameraTaken while another ingestor adds frames of this camera.
        """
        await self._leases.hold(frame.camera_id)
        payload = encode_frame(frame)
        stream = self._stream(frame.camera_id)
        is_small = len(payload) < _NODE_BYTES
        # XTRIM tells what XADD's own MAXLEN would not: how many frames it cost.
        steps = self._redis.pipeline(transaction=False)
        steps.get(self._site_key)
        steps.xadd(stream, {_FIELD: payload})
        steps.xtrim(stream, maxlen=self._max_frames, approximate=not is_small)
        async with self._client.answering():
            # Not raised by the pipeline: it would put the command, and so the picture, in the text.
            owner, entry_id, dropped = _unfailing(await steps.execute(raise_on_error=False))
        if owner != self._site_id.encode():  # the server was emptied
            if owner is not None:
                await self._forget([(frame.camera_id, entry_id)])
            await self.join()
        return int(dropped)

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, a share of each camera in turn."""
        ends_at_s = self._clock.monotonic() + wait_s
        async with self._delivering():
            if self._unsure:
                await self._recall()
            while not self._delivered:
                self._delivered += await self._readable(await self._look(max_frames, ends_at_s))
                if self._clock.monotonic() >= ends_at_s:
                    break
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
            async with self._at_home():
                idle_ms = round(idle_s * 1000)
                taken, trimmed, nameless = await self._claim(
                    [self._site_key, *self._streams()],
                    [self._site_id, self._group, self._consumer, idle_ms, max_frames],
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
        async with self._client.answering():
            return int(await self._redis.xlen(self._stream(camera_id)))

    # --- getting entries

    async def _look(self, room: int, ends_at_s: float) -> list[_Entry]:
        """Return what is there; where nothing is, wait for the next frame."""
        now_s = self._clock.monotonic()
        if now_s < self._empty_at_s + _EMPTY_FOR_S and now_s < ends_at_s:
            return await self._wait(ends_at_s - now_s)
        return await self._sweep(room)

    async def _sweep(self, room: int) -> list[_Entry]:
        """Ask a few cameras after the other, so that no more than ``room`` frames can come.

        It begins after the camera that was served last. A camera that gave its full share may have
        more, and is asked again when all have had their turn.
        """
        entries: list[_Entry] = []
        asked = list(self._cameras)
        while asked and room:
            share, more = max(1, room // len(asked)), list[CameraId]()
            while asked and room:
                few = max(1, room // share)
                window, asked = asked[:few], asked[few:]
                got = await self._read_group(window, count=min(share, room))
                room -= len(got)
                entries += got
                given = Counter(camera for camera, _, _ in got)
                more += [camera for camera in window if given[camera] >= share]
            asked += more
        self._served(entries)
        if room:
            self._empty_at_s = self._clock.monotonic()
        return entries

    async def _wait(self, wait_s: float) -> list[_Entry]:
        """Return the next frame as it arrives, and seldom one each of several cameras."""
        if not self._cameras:
            await self._clock.sleep(wait_s)
            return []
        block_s = min(wait_s, _LONGEST_WAIT_S)
        entries = await self._read_group(self._cameras, count=1, block_s=block_s)
        self._served(entries)
        self._empty_at_s = self._clock.monotonic()
        return entries

    def _served(self, entries: Sequence[_Entry]) -> None:
        if entries:
            self._cameras.rotate(-self._cameras.index(entries[-1][0]) - 1)

    async def _recall(self) -> None:
        """Ask for everything delivered to this consumer that it has never handed out.

        After a lost answer, or in a process of the same name that died, nobody else would see to
        these before they have been idle for long.
        """
        self._delivered.clear()
        await self.join()
        held = await self._read_group(self._cameras, start="0", count=self._max_frames)
        fresh = await self._readable(held)
        self._delivered += [b for b in fresh if b.entry_id not in self._handed_out]
        self._unsure = False

    async def _read_group(
        self, cameras: Collection[CameraId], *, start: str = ">", count: int, block_s: float = 0.0
    ) -> list[_Entry]:
        """Read from streams, each of which has its group again afterwards."""
        camera_of = {self._stream(camera).encode(): camera for camera in cameras}
        if not camera_of:
            return []
        # To Redis, to block for 0 ms means for ever.
        block_ms = max(1, math.ceil(block_s * 1000)) if block_s else None
        try:
            async with self._client.answering(block_s), _outliving_groups():
                reply: Any = await self._redis.xreadgroup(
                    self._group,
                    self._consumer,
                    dict.fromkeys(camera_of, start),
                    count=count,
                    block=block_ms,
                )
        except _GroupGone:
            await self.join()
            return [] if block_s else await self._read_group(cameras, start=start, count=count)
        return [
            (camera_of[stream], entry_id, fields)
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
        async with self._client.answering():
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
    async def _at_home(self) -> AsyncIterator[None]:
        """Ask something that fails where the names are another site's."""
        async with self._client.answering():
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


class _GroupGone(Exception):
    """A stream has lost its group, or the group went while one waited."""


@asynccontextmanager
async def _outliving_groups() -> AsyncIterator[None]:
    try:
        yield
    except ResponseError as refused:
        if str(refused).startswith(("NOGROUP", "UNBLOCKED")):
            raise _GroupGone from refused
        raise


def _unfailing(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _frame_of(camera: CameraId, fields: _Fields) -> Frame | None:
    """Return the frame, None where it was trimmed; raises FrameRejected when it is none."""
    if not fields:
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
