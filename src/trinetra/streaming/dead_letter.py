"""What every consumer does with a record it cannot read: count it, say why, and set it aside."""

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import DeadLetter
from trinetra.events.topics import DEAD_LETTERS
from trinetra.ports import Delivery, Record
from trinetra.telemetry import EVENTS_REJECTED, get_logger

MOST_PAYLOAD_BYTES = 64 * 1024
"""Of a longer record the beginning is kept: a letter must fit where the record did."""


def reject(delivery: Delivery, fault: MalformedEvent, *, service: str) -> Record:
    """Return the dead letter of a record, to be committed together with its offset.

    A record that is delivered again is rejected again; topic, partition and offset tell that.
    """
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
        reason=_cut(str(fault), len(delivery.value)),
        payload=delivery.value[:MOST_PAYLOAD_BYTES],
    )
    return Record(DEAD_LETTERS, delivery.key, encode(letter))


def _cut(reason: str, size_bytes: int) -> str:
    reason = reason[:MOST_PAYLOAD_BYTES]
    if size_bytes <= MOST_PAYLOAD_BYTES:
        return reason
    return f"{reason} (the first {MOST_PAYLOAD_BYTES} of {size_bytes} bytes are kept)"
