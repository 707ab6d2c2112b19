"""What one poll brought of a partition, and what came of it, on its way into one commit."""

from dataclasses import dataclass, field

from trinetra.events import topics
from trinetra.events.codec import encode
from trinetra.events.schema import InsightEvent, Visit
from trinetra.events.sightings import encode_sighting
from trinetra.insights.camera.camera_analytics import Outcome
from trinetra.insights.partitions import Step
from trinetra.ports import Record, TopicPartition


@dataclass(slots=True)
class Part:
    """One partition's; the offsets are None for what came of no record."""

    first_offset: int | None = None
    next_offset: int | None = None
    steps: list[tuple[str, Step]] = field(default_factory=list)
    insights: list[InsightEvent] = field(default_factory=list)
    outputs: list[Record] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add what an event led to."""
        self.insights += outcome.insights
        self.outputs += [Record(topics.INSIGHTS, _key(i), encode(i)) for i in outcome.insights]
        self.outputs += [
            Record(topics.SIGHTINGS, s.customer_id, encode_sighting(s)) for s in outcome.sightings
        ]


Batch = dict[TopicPartition, Part]


def _key(insight: InsightEvent) -> str:
    """Return what keeps the states of one insight in order: a visit's camera may yet change."""
    return insight.customer_id if isinstance(insight, Visit) else insight.camera_id
