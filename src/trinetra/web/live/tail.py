"""Tail of the event log: reads what happens from now on, through outages, for all viewers."""

import asyncio
from collections.abc import Callable, Sequence

from trinetra.errors import EventLogUnavailable, MalformedEvent
from trinetra.events import topics
from trinetra.events.codec import decode, encode, without_embeddings
from trinetra.events.schema import AnyEvent, LifecycleEvent, TracksEvent
from trinetra.ports import Clock, Delivery, EventLog, TopicReader
from trinetra.streaming.concurrency import run_until
from trinetra.streaming.retry import OutageTracker
from trinetra.telemetry import get_logger
from trinetra.web.live.ring import EventRing
from trinetra.web.live.view import LiveView, decode_boxes

log = get_logger("web")
_TOPICS = (
    topics.DETECTIONS,
    topics.IDENTITIES,
    topics.CUSTOMERS,
    topics.ALERTS,
    topics.INSIGHTS,
)
_AT_ONCE = 500
_WAIT_S, _RETRY_S, _ASK_S = 0.5, 1.0, 5.0
Listener = Callable[[AnyEvent], None]


class EventTail:
    """Feeds the live view, the ring of events and listeners; belongs to no consumer group.

    Listeners get every event except detections. What is not a valid event is left out: the consumer
    of its topic counts it.
    """

    name = "web-tail"

    def __init__(
        self,
        event_log: EventLog,
        view: LiveView,
        ring: EventRing,
        clock: Clock,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._log = event_log
        self._view = view
        self._ring = ring
        self._clock = clock
        self._listeners = listeners
        self._outage = OutageTracker(clock, log, "event log with live events", retry_s=_RETRY_S)
        self._is_reading = False
        self._ask_at_s = 0.0

    def ready(self) -> bool:
        """Return whether events arrive."""
        return self._is_reading and self._outage.cause is None

    def status(self) -> dict[str, object]:
        """Return the details for the health page."""
        return {"problem": self._outage.cause}

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until ``stopping`` is set."""
        since = self._clock.now()
        reader: TopicReader | None = None
        try:
            while not stopping.is_set():
                try:
                    reader = reader or await self._log.open_reader(_TOPICS, since=since)
                    self._is_reading = True
                    await self._read(reader)
                except EventLogUnavailable as cause:
                    self._outage.note(cause)
                    await run_until(stopping, self._clock.sleep(_RETRY_S))
        finally:
            self._is_reading = False
            if reader is not None:
                await reader.close()

    async def _read(self, reader: TopicReader) -> None:
        for delivery in await reader.poll(max_records=_AT_ONCE, wait_s=_WAIT_S):
            try:
                self._take(delivery)
            except MalformedEvent:
                continue
        await asyncio.sleep(0)  # a full log must not keep the loop from its viewers
        now_s = self._clock.monotonic()
        if now_s >= self._ask_at_s:
            self._ask_at_s = now_s + _ASK_S
            await reader.lag()  # of a server, only this call raises during an outage
            self._outage.end()

    def _take(self, delivery: Delivery) -> None:
        now_s = self._clock.monotonic()
        if delivery.topic == topics.DETECTIONS.name:
            self._view.see(decode_boxes(delivery.value), now_s, self._clock.now())
            return
        event = decode(delivery.value)
        if isinstance(event, TracksEvent):
            self._view.follow(event, now_s)
        else:
            if isinstance(event, LifecycleEvent) and event.change == "erased":
                self._ring.clear()  # it has only a digest of the person's id
                self._view.forget_tracks()
            kind = str(event.__struct_config__.tag)
            self._ring.add(kind, event.camera_id, encode(without_embeddings(event)))
        for listener in self._listeners:
            listener(event)
