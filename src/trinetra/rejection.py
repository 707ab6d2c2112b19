"""What every consumer does with a record it cannot read: count it, say why, and set it aside."""

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import DeadLetter
from trinetra.events.topics import DEAD_LETTERS
from trinetra.ports import Delivery, Record
from trinetra.telemetry import EVENTS_REJECTED, get_logger


def reject(delivery: Delivery, fault: MalformedEvent, *, service: str) -> Record:
    """Return the dead letter of a record, to be committed together with its offset."""
    EVENTS_REJECTED.labels(delivery.topic).inc()
    get_logger(service).warning(
        "event rejected",
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        fault=str(fault),
    )
    letter = DeadLetter(
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        reason=str(fault),
        payload=delivery.value,
    )
    return Record(DEAD_LETTERS, delivery.key, encode(letter))
