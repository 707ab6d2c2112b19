"""Takes receipts in: from the topic of transactions, and from a request to the HTTP server.

A receipt is identified by its id. Sent again with the same content it changes nothing; with other
content it is refused unless it has a higher ``revision``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.receipts import (
    ReceiptRejected,
    ReceiptRules,
    decode_receipt,
    mask_cards,
    read_receipt,
    same_content,
)
from trinetra.events.schema import InsightEvent, Receipt
from trinetra.events.topics import INSIGHTS, TRANSACTIONS
from trinetra.ports import Clock, Delivery, EventLog, ReceiptStore, Record, TopicPartition
from trinetra.streaming.dead_letter import reject
from trinetra.streaming.processor import PartitionOutput
from trinetra.streaming.retry import Retrier
from trinetra.telemetry import INSIGHTS as INSIGHTS_FOUND
from trinetra.telemetry import RECEIPTS
from trinetra.values import EventId

NAME = "insight-engine"
MOST_RECEIPTS = 1000
"""Receipts in one request."""
Known = dict[EventId, Receipt]
Standing = Literal["new", "duplicate", "outdated", "conflict"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one receipt of a request was refused; ``index`` counts from 0."""

    index: int
    field: str
    detail: str


def standing_of(receipt: Receipt, known: Receipt | None) -> Standing:
    """Return how a receipt relates to the one that is known under its id."""
    if known is None:
        return "new"
    if same_content(receipt, known):
        return "duplicate"
    revisions = receipt.revision or 0, known.revision or 0
    if revisions[0] > revisions[1]:
        return "new"
    return "conflict" if revisions[0] == revisions[1] else "outdated"


@dataclass(slots=True)
class ReceiptOutput(PartitionOutput):
    """What was read from one partition's records; ``receipts`` go into the store."""

    receipts: list[Receipt] = field(default_factory=list)


_Outputs = dict[TopicPartition, ReceiptOutput]


class ReceiptProcessor:
    """Stores the receipts of the topic and publishes them among the insights; has no state."""

    topic = TRANSACTIONS
    state_topic = None
    held_back = 0

    def __init__(self, rules: ReceiptRules, store: ReceiptStore, clock: Clock) -> None:
        self._rules = rules
        self._store = store
        self._clock = clock
        self._owned: set[TopicPartition] = set()
        self._counts: Counter[str] = Counter()

    def change(self, rules: ReceiptRules) -> None:
        """Read receipts by these rules from the next one on."""
        self._rules = rules

    def restore(self, where: TopicPartition, number: int, state: Mapping[str, bytes]) -> None:
        """Take a partition over."""
        del number, state
        self._owned.add(where)

    def revoke(self, where: TopicPartition) -> None:
        """Drop a partition."""
        self._owned.discard(where)

    async def process(
        self, deliveries: Sequence[Delivery], retrier: Retrier
    ) -> AsyncIterator[_Outputs]:
        """Read the receipts of a batch; those that cannot be read become dead letters."""
        outputs: _Outputs = {}
        read: list[tuple[Delivery, Receipt]] = []
        for delivery in deliveries:
            output = outputs.setdefault((delivery.topic, delivery.partition), ReceiptOutput())
            output.next_offset = delivery.offset + 1
            try:
                read.append((delivery, self._read(delivery)))
            except ReceiptRejected as fault:
                output.records.append(self._reject(delivery, fault))
        ids = {receipt.event_id for _, receipt in read}
        stored = await retrier.call(partial(self._store.receipts, ids)) if ids else []
        known: Known = {receipt.event_id: receipt for receipt in stored}
        for delivery, receipt in read:
            self._take(outputs[delivery.topic, delivery.partition], delivery, receipt, known)
        yield {where: output for where, output in outputs.items() if where in self._owned}

    async def flush(self) -> AsyncIterator[_Outputs]:
        """End nothing: every receipt is complete."""
        yield {}

    async def before_commit(self, outputs: Mapping[TopicPartition, ReceiptOutput]) -> None:
        """Store the receipts, of each id the latest. Raises StorageFull or StoreUnavailable."""
        latest: dict[EventId, InsightEvent] = {
            receipt.event_id: receipt for output in outputs.values() for receipt in output.receipts
        }
        if latest:
            await self._store.record(list(latest.values()))

    async def after_commit(self, committed: Mapping[TopicPartition, ReceiptOutput]) -> None:
        """Count receipts."""
        for output in committed.values():
            INSIGHTS_FOUND.labels("receipt").inc(len(output.receipts))

    def status(self) -> dict[str, object]:
        """Return how many receipts were read, by how they related to those known."""
        return {"receipts": dict(self._counts)}

    def _read(self, delivery: Delivery) -> Receipt:
        return decode_receipt(delivery.value, self._rules, self._clock.now())

    def _take(
        self, output: ReceiptOutput, delivery: Delivery, receipt: Receipt, known: Known
    ) -> None:
        standing = standing_of(receipt, known.get(receipt.event_id))
        if standing == "conflict":
            fault = ReceiptRejected(
                f"receipt {receipt.receipt_id}: another content is known under this id; send a "
                "correction with a higher revision"
            )
            output.records.append(self._reject(delivery, fault))
            return
        self._count(standing)
        if standing == "outdated":
            return
        is_repeated = standing == "duplicate"
        # A duplicate, too: after a crash the store may have what the topic of insights lacks.
        receipt = known.setdefault(receipt.event_id, receipt) if is_repeated else receipt
        known[receipt.event_id] = receipt
        output.receipts.append(receipt)
        output.records.append(Record(INSIGHTS, receipt.till_id, encode(receipt)))

    def _reject(self, delivery: Delivery, fault: MalformedEvent) -> Record:
        self._count("rejected")
        text = delivery.value.decode("utf-8", "replace")
        return reject(replace(delivery, value=mask_cards(text).encode()), fault, service=NAME)

    def _count(self, standing: Standing | Literal["rejected"]) -> None:
        self._counts[standing] += 1
        RECEIPTS.labels(standing).inc()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request: HTTP status and JSON document."""

    status: int
    document: Mapping[str, Any]


def problem(status: int, title: str, detail: str, errors: Sequence[Fault] = ()) -> Answer:
    """Return an answer in the form of RFC 9457; ``errors`` name the receipts at fault."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    listed = [{"index": f.index, "field": f.field, "detail": f.detail} for f in errors]
    return Answer(status, {**document, "errors": listed} if listed else document)


class ReceiptIntake:
    """Takes the receipts of a request: all of them or none.

    Receipts are stored before they are appended to the log and acknowledged: what was acknowledged
    is not lost, even where the log is in the memory of this process.
    """

    def __init__(
        self, rules: ReceiptRules, store: ReceiptStore, event_log: EventLog, clock: Clock
    ) -> None:
        self._rules = rules
        self._store = store
        self._log = event_log
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    def change(self, rules: ReceiptRules) -> None:
        """Take receipts by these rules from the next request on."""
        self._rules = rules

    async def accept(self, body: bytes) -> Answer:
        """Store the receipts of a request body, one object or a list, and append them to the log.

        Raises StorageFull, StoreUnavailable or EventLogUnavailable: then send the request again.
        """
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as cause:
            return problem(422, "Not a receipt", f"the body is not valid JSON: {cause}")
        documents = document if isinstance(document, list) else [document]
        if len(documents) > MOST_RECEIPTS:
            detail = f"{len(documents)} receipts; send at most {MOST_RECEIPTS} at once"
            return problem(413, "Too many receipts", detail)
        receipts, faults = self._read(documents)
        if faults:
            detail = f"{len(faults)} of {len(documents)} receipts are refused; none was stored"
            return problem(422, "Invalid receipts", detail, faults)
        async with self._one_at_a_time:  # two requests must not both find an id unused
            return await self._store_all(receipts)

    def _read(self, documents: Sequence[object]) -> tuple[list[Receipt], list[Fault]]:
        now, receipts, faults = self._clock.now(), [], []
        for index, document in enumerate(documents):
            try:
                receipts.append(read_receipt(document, self._rules, now))
            except ReceiptRejected as cause:
                faults.append(Fault(index, cause.field, str(cause)))
        return receipts, faults

    async def _store_all(self, receipts: Sequence[Receipt]) -> Answer:
        known = await self._known(receipts)
        standings: list[Standing] = []
        for receipt in receipts:
            standing = standing_of(receipt, known.get(receipt.event_id))
            standings.append(standing)
            if standing == "new":
                known[receipt.event_id] = receipt
        if faults := _conflicts(receipts, standings):
            detail = f"{len(faults)} receipts are known with other content; none was stored"
            return problem(409, "Conflicting receipts", detail, faults)
        new = {receipt.event_id: known[receipt.event_id] for receipt in receipts}
        await self._store.record(list(new.values()))
        stored = await self._known(receipts)
        if lost := [r for e, r in new.items() if not same_content(r, stored.get(e, r))]:
            # Another process stored the same id between our look and our write.
            faults = [Fault(receipts.index(r), "receipt_id", _CONFLICT) for r in lost]
            return problem(409, "Conflicting receipts", "known with other content", faults)
        await self._log.append([Record(TRANSACTIONS, r.till_id, encode(r)) for r in new.values()])
        for standing in standings:
            RECEIPTS.labels(standing).inc()
        return Answer(200, {"receipts": _listed(receipts, standings)})

    async def _known(self, receipts: Sequence[Receipt]) -> Known:
        found = await self._store.receipts({receipt.event_id for receipt in receipts})
        return {receipt.event_id: receipt for receipt in found}


_CONFLICT = (
    "another content is known under this receipt id; send a correction with a higher revision"
)


def _conflicts(receipts: Sequence[Receipt], standings: Sequence[Standing]) -> list[Fault]:
    return [
        Fault(index, "receipt_id", _CONFLICT)
        for index, (_, standing) in enumerate(zip(receipts, standings, strict=True))
        if standing == "conflict"
    ]


def _listed(receipts: Sequence[Receipt], standings: Sequence[Standing]) -> list[dict[str, str]]:
    words = {"new": "accepted"}
    return [
        {"receipt_id": r.receipt_id, "status": words.get(standing, standing)}
        for r, standing in zip(receipts, standings, strict=True)
    ]
