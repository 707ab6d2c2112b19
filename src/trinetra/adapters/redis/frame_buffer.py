"""Frame buffer on Redis Streams: one stream per camera, one consumer group.

An acknowledged frame is also deleted, so a stream holds only unfinished frames: its length is the
lag, and the number of frames dropped by the bound is exact. Failed operations are not retried here.
The next operation reconnects, recreates groups that a flush deleted, and first recovers the entries
of a reply that was lost: the server counts them as delivered to this consumer.
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
from trinetra.adapters.redis.latest_frames import LatestFrameKeys, RedisLatestFrames
from trinetra.adapters.redis.lease import CameraLeases
from trinetra.adapters.redis.server_clock import ServerClock
from trinetra.errors import ConfigurationError, FrameRejected
from trinetra.events.codec import decode_frame, encode_frame
from trinetra.events.topics import frames_stream
from trinetra.ports import CAMERA_FRAMES_MAX_BYTES, BufferedFrame, Clock
from trinetra.telemetry import FRAMES_DROPPED, FRAMES_OVERTAKEN, get_logger
from trinetra.values import CameraId, Frame, SiteId

_log = get_logger("frame-buffer")
_FIELD = scripts.FIELD.encode()
# Approximate trimming ("~") removes whole nodes of 4 KB. A frame of that size or more has a node of
# its own, so approximate trimming is exact, and cheap; smaller frames need exact trimming ("=").
_NODE_BYTES = 4096
# A vanished server is noticed only at the end of a blocking read, so long waits are split.
_LONGEST_WAIT_S = 5.0
# Within this time after all cameras were found empty, rarely more than one frame can have arrived,
# so a blocking read for a single frame is enough.
_EMPTY_FOR_S = 0.005

_Fields = Mapping[bytes, bytes] | None
_Entry = tuple[CameraId, bytes, _Fields]
"""Camera, entry id and fields; the fields are None if the entry was trimmed while pending."""


@dataclass(frozen=True, slots=True)
class FrameStreams:
    """The frame streams of a site: one for each camera, of at most ``max_frames`` frames.

    They take at most ``max_bytes`` encoded, but a stream may always hold one frame.
    ``namespace`` keeps the keys of several shops on one server apart.
    """

    site_id: SiteId
    cameras: Sequence[CameraId]
    namespace: str = ""
    max_frames: int = 100
    max_bytes: int = CAMERA_FRAMES_MAX_BYTES


class _StreamBound:
    """How many of a camera's entries fit into its bytes; its only writer knows their sizes.

    Consumers delete entries out of order, so the writer does not know which are left: it counts all
    of them with the size of the largest recent one, which is never too little.
    """

    def __init__(self, streams: FrameStreams) -> None:
        self._max_frames = streams.max_frames
        self._max_bytes = streams.max_bytes
        self._recent = deque[int](maxlen=streams.max_frames)

    def entries(self, size_bytes: int) -> int:
        """Return how many entries may stay, with a new one of that size."""
        self._recent.append(size_bytes)
        return max(1, min(self._max_frames, self._max_bytes // max(self._recent)))


class RedisFrameBuffer:
    """One consumer's (or the ingestor's) view of the frame streams; create one with ``open``."""

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
        self._bounds = {camera: _StreamBound(streams) for camera in streams.cameras}
        self._cameras = deque(streams.cameras)
        self._join = self._redis.register_script(scripts.JOIN)
        self._claim = self._redis.register_script(scripts.CLAIM)
        self._finish = self._redis.register_script(scripts.FINISH)
        self._leases = CameraLeases(
            self._redis, client.answering, clock, prefix=self._prefix, name=consumer
        )
        self._latest = RedisLatestFrames(client, streams.namespace)
        self._shown = LatestFrameKeys(streams.namespace, clock)
        self._server_clock = ServerClock(self._redis, client.answering, clock)
        self._delivered: deque[BufferedFrame] = deque()
        self._handed_out: set[str] = set()
        self._may_have_lost_reply = True
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
        """Connect, claim the key names for the site and join the group of every camera.

        A consumer that restarts under the same name first receives the frames it had not
        acknowledged. Raises BufferUnavailable when no server answers, ConfigurationError when the
        URL, the login or the version is wrong, or when the names belong to another site.
        """
        async with RedisClient.open(url, answer_s=answer_s) as client:
            buffer = cls(client, streams, group=group, consumer=consumer, clock=clock)
            await buffer.join()
            try:
                yield buffer
            finally:
                await buffer._leases.release()

    async def check(self) -> str:
        """Return the server's version and address. Raises BufferUnavailable if it is down."""
        return f"Redis {await self._client.version()} at {self._client.where}"

    async def join(self) -> None:
        """Claim the key names for the site and create missing groups."""
        async with self._checking_site():
            await self._join([self._site_key, *self._streams()], [self._site_id, self._group])

    async def append(self, frame: Frame) -> int:
        """Append a frame; return how many old ones were dropped to stay within the bound.

        Raises CameraTaken while another ingestor appends frames of this camera.
        """
        await self._leases.hold(frame.camera_id)
        payload = encode_frame(frame)
        stream = self._stream(frame.camera_id)
        fitting = self._bounds[frame.camera_id].entries(len(payload))
        is_small = len(payload) < _NODE_BYTES
        # XTRIM returns how many entries it removed; XADD with MAXLEN does not.
        steps = self._redis.pipeline(transaction=False)
        steps.get(self._site_key)
        steps.xadd(stream, {_FIELD: payload})
        steps.xtrim(stream, maxlen=fitting, approximate=not is_small)
        self._shown.add_to(steps, frame.camera_id, payload)
        async with self._client.answering():
            # The pipeline must not raise: its message would contain the command with the picture.
            replies = _raise_first_error(await steps.execute(raise_on_error=False))
        owner, entry_id, dropped, is_watched, *_ = replies
        self._shown.note(frame.camera_id, is_watched=is_watched is not None)
        # A flush deletes the site key, after which another site may have claimed the names. The
        # key is read in the same round trip, so the check costs nothing on the normal path; a frame
        # that went into another site's stream is deleted again, and ``join`` raises.
        if owner != self._site_id.encode():
            if owner is not None:
                await self._finish_entries([(frame.camera_id, entry_id)])
                await self._latest.withdraw(frame.camera_id)
            await self.join()
        return int(dropped)

    async def read(self, *, max_frames: int, wait_s: float) -> list[BufferedFrame]:
        """Return up to ``max_frames`` new frames, an equal share of each camera in turn."""
        ends_at_s = self._clock.monotonic() + wait_s
        async with self._delivering():
            if self._may_have_lost_reply:
                await self._recover_pending()
            while not self._delivered:
                self._delivered += await self._decoded(
                    await self._next_entries(max_frames, ends_at_s)
                )
                if self._clock.monotonic() >= ends_at_s:
                    break
        count = min(max_frames, len(self._delivered))
        return self._hand_out([self._delivered.popleft() for _ in range(count)])

    async def ack(self, frames: Sequence[BufferedFrame]) -> None:
        """Acknowledge frames and delete them."""
        entries = [(f.frame.camera_id, f.entry_id.rpartition(":")[2].encode()) for f in frames]
        await self._finish_entries(entries)
        self._handed_out.difference_update(f.entry_id for f in frames)

    async def claim(self, *, idle_s: float, max_frames: int) -> list[BufferedFrame]:
        """Take over frames that any consumer has left unacknowledged for ``idle_s``."""
        if not self._cameras:
            return []
        cameras = list(self._cameras)
        async with self._delivering():
            async with self._checking_site():
                idle_ms = round(idle_s * 1000)
                taken, trimmed, nameless = await self._claim(
                    [self._site_key, *self._streams()],
                    [self._site_id, self._group, self._consumer, idle_ms, max_frames],
                )
            self._may_have_lost_reply = self._may_have_lost_reply or nameless > 0
            for index, count in trimmed:
                _count_overtaken(cameras[index], count)
            claimed = await self._decoded(_scripted(cameras, taken))
        # A frame recovered by this consumer may be claimed as well; it must not be returned twice.
        ids = {buffered.entry_id for buffered in claimed}
        self._delivered = deque(b for b in self._delivered if b.entry_id not in ids)
        return self._hand_out(claimed)

    async def lag(self, camera_id: CameraId) -> int:
        """Return how many frames of a camera are undelivered or unacknowledged."""
        async with self._client.answering():
            return int(await self._redis.xlen(self._stream(camera_id)))

    async def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame without taking it; None if it has none of late."""
        return await self._latest.latest(camera_id)

    # --- getting entries

    async def _next_entries(self, room: int, ends_at_s: float) -> list[_Entry]:
        """Return available entries; if there are none, wait for the next frame."""
        now_s = self._clock.monotonic()
        if now_s < self._empty_at_s + _EMPTY_FOR_S and now_s < ends_at_s:
            return await self._wait(ends_at_s - now_s)
        return await self._sweep(room)

    async def _sweep(self, room: int) -> list[_Entry]:
        """Read a few cameras per command, so that at most ``room`` entries are delivered.

        COUNT applies to each stream, so reading all at once could deliver more than fit. Starts
        after the camera that was served last. A camera that returned its full share may have more,
        and is read again after all others have had their turn.
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
        """Block until a frame arrives; return it, and rarely also one each of other cameras."""
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

    async def _recover_pending(self) -> None:
        """Read all pending entries of this consumer that it has not returned to its caller.

        They exist after a lost reply, or after a process of the same name died. Without this they
        would wait until some consumer claims them as idle.
        """
        self._delivered.clear()
        await self.join()
        held = await self._read_group(self._cameras, start="0", count=self._max_frames)
        fresh = await self._decoded(held)
        self._delivered += [b for b in fresh if b.entry_id not in self._handed_out]
        self._may_have_lost_reply = False

    async def _read_group(
        self, cameras: Collection[CameraId], *, start: str = ">", count: int, block_s: float = 0.0
    ) -> list[_Entry]:
        """Read from streams; if a group is missing, recreate it, and repeat a non-blocking read."""
        camera_of = {self._stream(camera).encode(): camera for camera in cameras}
        if not camera_of:
            return []
        # BLOCK 0 means to wait forever.
        block_ms = max(1, math.ceil(block_s * 1000)) if block_s else None
        try:
            async with self._client.answering(block_s), _detecting_lost_groups():
                reply: Any = await self._redis.xreadgroup(
                    self._group,
                    self._consumer,
                    dict.fromkeys(camera_of, start),
                    count=count,
                    block=block_ms,
                )
        except _GroupLost:
            await self.join()
            return [] if block_s else await self._read_group(cameras, start=start, count=count)
        return [
            (camera_of[stream], entry_id, fields)
            for stream, entries in reply
            for entry_id, fields in entries
        ]

    async def _decoded(self, entries: Iterable[_Entry]) -> list[BufferedFrame]:
        """Return decoded frames; acknowledge and count entries that are invalid or were trimmed."""
        await self._server_clock.keep_calibrated()
        frames: list[BufferedFrame] = []
        unusable: list[tuple[CameraId, bytes]] = []
        for camera, entry_id, fields in entries:
            try:
                frame = _frame_of(camera, fields)
            except FrameRejected as rejected:
                FRAMES_DROPPED.labels(camera, rejected.reason).inc()
                _log.warning("frame rejected", camera=camera, problem=str(rejected))
                frame = None
            if frame is None:
                unusable.append((camera, entry_id))
            else:
                appended_s = self._server_clock.monotonic_at(_appended_at_s(entry_id))
                frames.append(BufferedFrame(f"{camera}:{entry_id.decode()}", frame, appended_s))
        await self._finish_entries(unusable)
        return frames

    async def _finish_entries(self, entries: Sequence[tuple[CameraId, bytes]]) -> None:
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
        """Mark pending entries as unknown if the block fails.

        The server may have delivered entries in a reply that was lost or cancelled; the next
        ``read`` recovers them.
        """
        try:
            yield
        except BaseException:
            self._may_have_lost_reply = True
            raise

    @asynccontextmanager
    async def _checking_site(self) -> AsyncIterator[None]:
        """Translate the error of a script that found the names claimed by another site."""
        async with self._client.answering():
            try:
                yield
            except ResponseError as refused:
                code, _, owner = str(refused).partition(" ")
                if code != scripts.OTHER_SITE:
                    raise
                raise ConfigurationError(
                    f"Redis at {self._client.where} buffers the frames of site {owner}, but this "
                    f"is site {self._site_id}: set another TRINETRA_NAMESPACE for one of them "
                    f'(here it is "{self._namespace}"). If {owner} no longer exists, delete the '
                    f"key {self._site_key}"
                ) from None


class _GroupLost(Exception):
    """A stream has no consumer group, or lost it during a blocking read."""


@asynccontextmanager
async def _detecting_lost_groups() -> AsyncIterator[None]:
    try:
        yield
    except ResponseError as refused:
        if str(refused).startswith(("NOGROUP", "UNBLOCKED")):
            raise _GroupLost from refused
        raise


def _raise_first_error(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _frame_of(camera: CameraId, fields: _Fields) -> Frame | None:
    """Return the frame, or None if it was trimmed. Raises FrameRejected if it is invalid."""
    if not fields:
        _count_overtaken(camera, 1)
        return None
    if _FIELD not in fields:
        raise FrameRejected(f"a stream entry has no field {scripts.FIELD!r}")
    frame = decode_frame(fields[_FIELD])
    if frame.camera_id != camera:
        raise FrameRejected(f"the stream of camera {camera} has a frame of {frame.camera_id}")
    return frame


def _appended_at_s(entry_id: bytes) -> float:
    """Return the server's time of an append in Unix seconds, from which Redis makes the id."""
    return int(entry_id.partition(b"-")[0]) / 1000


def _count_overtaken(camera: CameraId, count: int) -> None:
    FRAMES_OVERTAKEN.labels(camera).inc(count)
    _log.warning("pending frames were dropped for newer ones", camera=camera, frames=count)


def _scripted(cameras: Sequence[CameraId], taken: Iterable[Any]) -> list[_Entry]:
    """Return the entries that a script returned as stream index, id, and alternating fields."""
    return [
        (cameras[index], entry_id, fields and dict(zip(fields[::2], fields[1::2], strict=True)))
        for index, entry_id, fields in taken
    ]
