"""Last frames of the cameras on Redis, for those who only show them.

A finished frame is deleted from its stream, so the writer also stores a camera's frame under a key
of its own: every frame while the camera is watched, which readers say by a key that expires, and
otherwise one frame a second. Storing every frame always would double the traffic of the buffer.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trinetra.adapters.redis import scripts
from trinetra.adapters.redis.client import RedisClient
from trinetra.errors import FrameRejected
from trinetra.events.codec import decode_frame
from trinetra.events.topics import frames_stream
from trinetra.ports import LATEST_FRAME_S, Clock
from trinetra.values import CameraId, Frame

_FIELD = scripts.FIELD.encode()
_EVERY_S = 1.0
_WATCHED_S = 5


class LatestFrameKeys:
    """Decides which frames the writer stores to be shown."""

    def __init__(self, namespace: str, clock: Clock) -> None:
        self._namespace = namespace
        self._clock = clock
        self._watched: set[CameraId] = set()
        self._stored_s: dict[CameraId, float] = {}

    def add_to(self, steps: Any, camera_id: CameraId, payload: bytes) -> None:
        """Add to a pipeline the question whether a camera is watched, and its frame if due."""
        steps.get(_watched_key(self._namespace, camera_id))
        now_s = self._clock.monotonic()
        is_due = now_s - self._stored_s.get(camera_id, -math.inf) >= _EVERY_S
        if is_due or camera_id in self._watched:
            self._stored_s[camera_id] = now_s
            steps.set(_frame_key(self._namespace, camera_id), payload, ex=round(LATEST_FRAME_S))

    def note(self, camera_id: CameraId, *, is_watched: bool) -> None:
        """Note the answer to that question; it holds for the next frame."""
        (self._watched.add if is_watched else self._watched.discard)(camera_id)


class RedisLatestFrames:
    """Reads the last frames; joins no group and claims no names. Create one with ``open``."""

    def __init__(self, client: RedisClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, namespace: str = "", *, answer_s: float = 2.0
    ) -> AsyncIterator["RedisLatestFrames"]:
        """Connect. Raises BufferUnavailable or ConfigurationError."""
        async with RedisClient.open(url, answer_s=answer_s) as client:
            yield cls(client, namespace)

    async def latest(self, camera_id: CameraId) -> Frame | None:
        """Return a camera's last frame, of its stream or as stored; None if it has none of late.

        Raises BufferUnavailable.
        """
        prefix = f"{self._namespace}:" if self._namespace else ""
        steps = self._client.redis.pipeline(transaction=False)
        steps.set(_watched_key(self._namespace, camera_id), b"1", ex=_WATCHED_S)
        steps.xrevrange(f"{prefix}{frames_stream(camera_id)}", count=1)
        steps.get(_frame_key(self._namespace, camera_id))
        async with self._client.answering():
            _, entries, stored = await steps.execute()
        payloads = [fields.get(_FIELD) for _, fields in entries] + [stored]
        frames = [frame for payload in payloads if payload and (frame := _decoded(payload))]
        return max(frames, key=lambda frame: frame.captured_at, default=None)

    async def withdraw(self, camera_id: CameraId) -> None:
        """Delete the stored frame of a camera. Raises BufferUnavailable."""
        async with self._client.answering():
            await self._client.redis.set(_frame_key(self._namespace, camera_id), b"", px=1)


def _decoded(payload: bytes) -> Frame | None:
    try:
        return decode_frame(payload)
    except FrameRejected:
        return None  # the consumer of the stream counts it


def _frame_key(namespace: str, camera_id: CameraId) -> str:
    return f"{namespace}:trinetra:latest:{camera_id}".removeprefix(":")


def _watched_key(namespace: str, camera_id: CameraId) -> str:
    return f"{namespace}:trinetra:watched:{camera_id}".removeprefix(":")
