"""The place of a figure about queues: a till, or a queue of several tills."""

from trinetra.events.schema import QueueVisit


def till_place(visit: QueueVisit) -> str:
    """Return the till, or ``camera/queue`` for a party that left a queue of several unserved."""
    return visit.till_id or f"{visit.camera_id}/{visit.queue_id}"
