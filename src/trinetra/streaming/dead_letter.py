"""Dead letters for records that a consumer cannot read: counted, logged and set aside."""

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import DeadLetter
from trinetra.events.topics import DEAD_LETTERS
from trinetra.ports import Delivery, Record
from trinetra.telemetry import EVENTS_REJECTED, get_logger

MOST_PAYLOAD_BYTES = 64 * 1024
"""Longer payloads are cut: the dead letter must fit into a message as the record itself did."""


def reject(delivery: Delivery, fault: MalformedEvent, *, service: str) -> Record:
    """Return the dead letter of a record, to be committed together with its offset.

    A record that is delivered again is rejected again; such repeats have the same topic, partition
    and offset.
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
