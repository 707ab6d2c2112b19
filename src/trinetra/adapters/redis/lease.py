"""Who may put a camera's frames into the buffer: one ingestor at a time.

Frames of two ingestors would lie in one stream under numbers of two sequences, and whoever restores
their order would take all of one for late. A second ingestor is therefore a stand-by: it takes a
camera over once the first one's lease has run out.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from redis.asyncio import Redis

from trinetra.errors import BufferUnavailable, CameraTaken
from trinetra.ports import Clock
from trinetra.telemetry import get_logger
from trinetra.values import CameraId

_RENEW_S = 1.0
_LEASE_MS = 4_000
"""Less than a killed ingestor's successor may keep everybody waiting."""
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_log = get_logger("frame-buffer")


class CameraLeases:
    """The cameras that one ingestor holds; ``name`` is what others are told of it."""

    def __init__(
        self,
        redis: "Redis",
        answering: Callable[[], AbstractAsyncContextManager[None]],
        clock: Clock,
        *,
        prefix: str,
        name: str,
    ) -> None:
        self._hold = redis.register_script(_HOLD)
        self._release = redis.register_script(_RELEASE)
        self._answering = answering
        self._clock = clock
        self._prefix = prefix
        self._name = name
        # A restarted process has a new token: it cannot know whether the other one is dead.
        self._token = f"{name}/{secrets.token_hex(8)}".encode()
        self._renew_at_s: dict[CameraId, float] = {}

    async def hold(self, camera_id: CameraId) -> None:
        """Take or renew a camera's lease. Raises CameraTaken or BufferUnavailable."""
        now_s = self._clock.monotonic()
        if now_s < self._renew_at_s.get(camera_id, now_s):
            return
        async with self._answering():
            holder = await self._hold([self._key(camera_id)], [self._token, _LEASE_MS])
        if holder != self._token:
            self._renew_at_s.pop(camera_id, None)
            other = holder.decode(errors="replace").rpartition("/")[0]
            raise CameraTaken(
                f"camera {camera_id} is read by another ingestor, {other}, and this one stands by: "
                "stop one of them, or share the cameras out with --camera"
            )
        self._renew_at_s[camera_id] = now_s + _RENEW_S

    async def release(self) -> None:
        """Give every camera up, so that a successor need not wait."""
        try:
            async with self._answering():
                for camera_id in self._renew_at_s:
                    await self._release([self._key(camera_id)], [self._token])
        except BufferUnavailable as cause:
            _log.warning("leases run out by themselves", cause=str(cause))

    def _key(self, camera_id: CameraId) -> str:
        return f"{self._prefix}trinetra:ingestor:{camera_id}"
