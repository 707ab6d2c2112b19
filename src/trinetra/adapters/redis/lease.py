"""Leases that let only one ingestor at a time append a camera's frames.

Two ingestors would write two independent frame number sequences into one stream, and consumers that
restore the frame order would treat all frames of one ingestor as late. A second ingestor is
therefore a standby: it takes over a camera once the first one's lease has expired.
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
"""Bounds the time for which a camera delivers no frames after its ingestor was killed."""
# Compare and set have to be one atomic step: between a separate GET and SET the lease could expire
# and another ingestor take it, and both would hold the camera.
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
    """The cameras held by one ingestor; error messages of other ingestors show its ``name``."""

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
        # A token per process, not per name: after a restart the old process may still be running.
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
                f"camera {camera_id} is read by another ingestor, {other}; this one is on standby. "
                "Stop one of them, or divide the cameras between them with --camera"
            )
        self._renew_at_s[camera_id] = now_s + _RENEW_S

    async def release(self) -> None:
        """Release every camera, so that a successor need not wait for the leases to expire."""
        try:
            async with self._answering():
                for camera_id in self._renew_at_s:
                    await self._release([self._key(camera_id)], [self._token])
        except BufferUnavailable as cause:
            _log.warning("camera leases not released; they will expire", cause=str(cause))

    def _key(self, camera_id: CameraId) -> str:
        return f"{self._prefix}trinetra:ingestor:{camera_id}"
