"""The live part of a site: what the cameras see, its pictures and the stream of its events."""

from collections.abc import Mapping, Sequence

from trinetra.ports import Clock, EventLog, LatestFrames
from trinetra.values import CameraId
from trinetra.web.live.hub import LiveTopic, TopicHub
from trinetra.web.live.pictures import LiveCamera, PictureHub
from trinetra.web.live.ring import EventRing
from trinetra.web.live.streams import Places
from trinetra.web.live.tail import EventTail, Listener
from trinetra.web.live.view import LiveView

MAX_PICTURE_STREAMS = 64
MAX_EVENT_STREAMS = 64
MAX_TOPIC_READERS = 256


class Live:
    """Everything live, and the places for its viewers; ``tail`` is the service that feeds it.

    Without ``frames`` there are no pictures: they are in the memory of another process.
    """

    def __init__(
        self,
        cameras: Mapping[CameraId, LiveCamera],
        event_log: EventLog,
        frames: LatestFrames | None,
        clock: Clock,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.clock = clock
        self.view = LiveView(cameras)
        self.ring = EventRing(clock.now())
        self.tail = EventTail(event_log, self.view, self.ring, clock, listeners)
        self.pictures = PictureHub(frames, self.view, cameras, clock) if frames else None
        self.topics = TopicHub({}, clock)
        self.picture_places = Places(MAX_PICTURE_STREAMS, "live pictures")
        self.event_places = Places(MAX_EVENT_STREAMS, "event streams")
        self.topic_places = Places(MAX_TOPIC_READERS, "live pages")

    def offer(self, topics: Mapping[str, LiveTopic]) -> None:
        """Set the topics of the dashboard."""
        self.topics = TopicHub(topics, self.clock)

    async def change(self, cameras: Mapping[CameraId, LiveCamera]) -> None:
        """Show other cameras from now on; viewers of those that stay notice nothing."""
        self.view.change(cameras)
        if self.pictures is not None:
            await self.pictures.change(cameras)

    async def close(self) -> None:
        """Stop all feeds and topics."""
        await self.topics.close()
        if self.pictures is not None:
            await self.pictures.close()
