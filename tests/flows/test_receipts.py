"""Receipts from the topic and from HTTP requests, through the insight engine into the store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from tests.flows.test_insight_engine import published
from tests.servers.kafka_logs import kafka_log

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.event_log import MemoryEventLog
from trinetra.adapters.memory.insight_store import MemoryInsightStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import StoreUnavailable
from trinetra.events.codec import decode
from trinetra.events.receipts import ReceiptRules
from trinetra.events.schema import DeadLetter, InsightEvent, Purchase, Receipt, ZoneStay
from trinetra.events.topics import ALL, DEAD_LETTERS, INSIGHTS, TRANSACTIONS
from trinetra.hosting import MAX_TRANSACTIONS_BYTES, ReceiptTaker, TransactionDoor, health_app
from trinetra.insights.derivation_task import DerivationTask
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.insights.receipts import MOST_RECEIPTS, ReceiptIntake, ReceiptProcessor
from trinetra.ports import ExpiringStore, Record
from trinetra.site import site_from_text
from trinetra.streaming.retry import OutageTracker, Retrier
from trinetra.streaming.runner import RunnerPolicy
from trinetra.telemetry import get_logger
from trinetra.values import CameraId, EventId, Instant, SiteId, TrackId
from trinetra.wiring.config import derivations, receipt_rules, zones_of_till

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = ReceiptRules(SiteId("shop"), frozenset({"till-1", "till-2"}))
ALWAYS = (NOW - timedelta(days=9), NOW + timedelta(days=9))
TOKEN = "token-of-the-tills"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Noon(SystemClock):
    """A clock that shows noon."""

    def now(self) -> Instant:
        return NOW


def receipt(number: int = 1, **changes: object) -> dict[str, object]:
    return {
        "receipt_id": f"T1-{number}",
        "till_id": "till-1",
        "issued_at": "2026-11-22T11:30:00Z",
        "total_minor": 1250,
        "currency": "EUR",
        **changes,
    }


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(SystemClock())


@pytest.fixture(params=["dictionary", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ExpiringStore]:
    if request.param == "dictionary":
        yield MemoryInsightStore()
        return
    async with SqlInsightStore.open(f"sqlite:///{tmp_path}/insights.db") as store:
        yield store


async def send(log: MemoryEventLog, *documents: object) -> None:
    values = [d if isinstance(d, bytes) else msgspec.json.encode(d) for d in documents]
    await log.append([Record(TRANSACTIONS, "till-1", value) for value in values])


async def drain(log: MemoryEventLog, store: ExpiringStore) -> dict[str, object]:
    """Run an engine to the end of the log and return its figures."""
    stopping = asyncio.Event()
    stopping.set()
    engine = insight_engine(
        log,
        store,
        SystemClock(),
        SiteInsights(RULES.site_id),
        policy=RunnerPolicy(poll_wait_s=0.01),
        receipts=ReceiptProcessor(RULES, store, Noon()),
    )
    await engine.run(stopping)
    return dict(engine.status()["receipts"])


async def stored(store: ExpiringStore) -> list[InsightEvent]:
    return await store.fetch("receipt", *ALWAYS)


async def letters(log: MemoryEventLog) -> list[DeadLetter]:
    return [
        msgspec.json.decode(record.value, type=DeadLetter)
        for record in await published(log, DEAD_LETTERS)
    ]


# --- the topic ----------------------------------------------------------------------------------


async def test_a_receipt_of_the_topic_is_stored_and_published(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    await send(log, receipt(items=[{"sku": "apple", "amount_minor": 1250}]))
    assert await drain(log, store) == {"new": 1}
    (kept,) = await stored(store)
    assert isinstance(kept, Receipt)
    assert (kept.total_minor, kept.items[0].sku) == (1250, "apple")
    assert [decode(record.value) for record in await published(log, INSIGHTS)] == [kept]


async def test_a_receipt_that_is_sent_twice_counts_once(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    await send(log, receipt(), receipt())
    await send(log, receipt())
    assert await drain(log, store) == {"new": 1, "duplicate": 2}
    assert len(await stored(store)) == 1


async def test_a_receipt_with_other_content_is_a_dead_letter_and_the_first_stays(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    await send(log, receipt(), receipt(total_minor=1))
    assert await drain(log, store) == {"new": 1, "rejected": 1}
    (kept,) = await stored(store)
    assert kept.total_minor == 1250
    (letter,) = await letters(log)
    assert "higher revision" in letter.reason


async def test_a_correction_replaces_a_receipt_and_an_older_one_does_not(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    await send(log, receipt(), receipt(kind="void", revision=2), receipt(total_minor=3, revision=1))
    assert await drain(log, store) == {"new": 2, "outdated": 1}
    (kept,) = await stored(store)
    assert (kept.kind, kept.revision) == ("void", 2)


async def test_what_cannot_be_read_is_a_dead_letter_without_card_numbers(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    bad = [b"{", receipt(2, card="4111 1111 1111 1111"), receipt(3, till_id="till-9")]
    ahead = receipt(4, issued_at="2026-11-23T12:00:00Z")
    await send(log, *bad, ahead, receipt(5, total_minor=-5), receipt(6))
    assert await drain(log, store) == {"new": 1, "rejected": 5}
    found = await letters(log)
    assert [letter.topic for letter in found] == [TRANSACTIONS.name] * 5
    assert not any(b"4111" in letter.payload for letter in found)


async def test_after_a_crash_before_the_commit_the_receipt_is_published_all_the_same(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    await send(log, receipt())
    processor = ReceiptProcessor(RULES, store, Noon())
    retrier = Retrier(OutageTracker(Noon(), get_logger("test"), "store"), Noon(), asyncio.Event())
    reader = await log.subscribe([TRANSACTIONS], "one that dies")
    deliveries = await reader.poll(max_records=10, wait_s=0)
    for where, number in reader.assignment().items():
        processor.restore(where, number, {})
    async for outputs in processor.process(deliveries, retrier):
        await processor.before_commit(outputs)
    await reader.close()

    assert await drain(log, store) == {"duplicate": 1}
    assert len(await published(log, INSIGHTS)) == 1


# --- HTTP ---------------------------------------------------------------------------------------


@asynccontextmanager
async def tills(
    taker: ReceiptTaker | None, token: str | None = TOKEN
) -> AsyncIterator[httpx.AsyncClient]:
    app = health_app([], transactions=TransactionDoor(lambda: taker, token))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", headers=HEADERS
    ) as client:
        yield client


def intake(log: MemoryEventLog, store: ExpiringStore) -> ReceiptIntake:
    return ReceiptIntake(RULES, store, log, Noon())


async def test_a_posted_receipt_is_stored_before_it_is_acknowledged_and_reaches_the_topic(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    async with tills(intake(log, store)) as client:
        answer = await client.post("/v1/transactions", json=receipt())
    assert answer.status_code == 200
    assert answer.json() == {"receipts": [{"receipt_id": "T1-1", "status": "accepted"}]}
    assert len(await stored(store)) == 1
    assert await drain(log, store) == {"duplicate": 1}
    assert len(await published(log, INSIGHTS)) == 1


async def test_posting_twice_is_a_duplicate_other_content_a_conflict_a_revision_a_correction(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    async with tills(intake(log, store)) as client:
        sent = [
            receipt(),
            receipt(),
            receipt(total_minor=1),
            receipt(total_minor=1, revision=1),
            receipt(total_minor=2),
        ]
        answers = [await client.post("/v1/transactions", json=each) for each in sent]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200, 200]
    told = [a.json()["receipts"][0]["status"] for a in answers if a.status_code == 200]
    assert told == ["accepted", "duplicate", "accepted", "outdated"]
    assert answers[2].headers["content-type"] == "application/problem+json"
    assert answers[2].json()["errors"][0]["index"] == 0
    (kept,) = await stored(store)
    assert kept.total_minor == 1


async def test_of_a_batch_with_a_fault_none_is_stored_and_every_fault_is_named(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    batch = [receipt(1), receipt(2, total_minor="12,50"), receipt(3, till_id="x"), 7]
    async with tills(intake(log, store)) as client:
        answer = await client.post("/v1/transactions", json=batch)
    assert answer.status_code == 422
    problem = answer.json()
    assert [(e["index"], e["field"]) for e in problem["errors"]] == [
        (1, "total_minor"),
        (2, "till_id"),
        (3, ""),
    ]
    assert problem["status"] == 422
    assert await stored(store) == []


async def test_a_batch_may_repeat_a_receipt_but_not_contradict_itself(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    async with tills(intake(log, store)) as client:
        both = await client.post("/v1/transactions", json=[receipt(), receipt()])
        clash = await client.post("/v1/transactions", json=[receipt(2), receipt(2, total_minor=1)])
    assert [r["status"] for r in both.json()["receipts"]] == ["accepted", "duplicate"]
    assert clash.status_code == 409
    assert [e["index"] for e in clash.json()["errors"]] == [1]
    assert len(await stored(store)) == 1


async def test_two_requests_at_once_do_not_both_store_the_same_id(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    async with tills(intake(log, store)) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/transactions", json=receipt(total_minor=n)) for n in range(5))
        )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_another_process_that_stored_the_id_first_makes_it_a_conflict(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    class Racing:
        """A store in which another process is a moment quicker."""

        async def receipts(self, event_ids: object) -> list[Receipt]:
            return await store.receipts(event_ids)

        async def record(self, insights: list[InsightEvent]) -> None:
            first = msgspec.structs.replace(insights[0], total_minor=99)
            await store.record([first])
            await store.record(insights)

    async with tills(ReceiptIntake(RULES, Racing(), log, Noon())) as client:
        answer = await client.post("/v1/transactions", json=receipt())
    assert answer.status_code == 409
    assert await published(log, TRANSACTIONS) == []


async def test_too_many_receipts_or_bytes_are_refused(
    log: MemoryEventLog, store: ExpiringStore
) -> None:
    many = [receipt(number) for number in range(MOST_RECEIPTS + 1)]
    async with tills(intake(log, store)) as client:
        whole = await client.post("/v1/transactions", json=many[:-1])
        one_more = await client.post("/v1/transactions", json=many)
        huge = await client.post(
            "/v1/transactions",
            content=b" " * (MAX_TRANSACTIONS_BYTES + 1),
            headers={"Content-Type": "application/json"},
        )
    assert [whole.status_code, one_more.status_code, huge.status_code] == [200, 413, 413]
    assert len(await stored(store)) == MOST_RECEIPTS


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", TOKEN, "Bearer t\xe9"])
async def test_without_the_right_token_nothing_is_read(log: MemoryEventLog, given: str) -> None:
    async with tills(intake(log, MemoryInsightStore())) as client:
        answer = await client.post(
            "/v1/transactions", json=receipt(), headers={"Authorization": given.encode("latin-1")}
        )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


async def test_where_no_token_is_set_the_door_is_closed(log: MemoryEventLog) -> None:
    async with tills(intake(log, MemoryInsightStore()), token=None) as client:
        answer = await client.post("/v1/transactions", json=receipt())
    assert answer.status_code == 403
    assert "TRINETRA_TRANSACTIONS_TOKEN" in answer.text


async def test_a_web_page_cannot_post_receipts_as_plain_text(log: MemoryEventLog) -> None:
    async with tills(intake(log, MemoryInsightStore())) as client:
        plain = {"Content-Type": "text/plain"}
        answer = await client.post("/v1/transactions", content=b"{}", headers=plain)
        get = await client.get("/v1/transactions")
    assert (answer.status_code, get.status_code) == (415, 405)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b"null", b"[[]]"])
async def test_a_body_that_is_no_receipt_is_refused(log: MemoryEventLog, body: bytes) -> None:
    async with tills(intake(log, MemoryInsightStore())) as client:
        answer = await client.post(
            "/v1/transactions", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_while_the_store_is_away_the_till_is_asked_to_send_again(log: MemoryEventLog) -> None:
    class Away:
        async def receipts(self, event_ids: object) -> list[Receipt]:
            raise StoreUnavailable("postgresql://ann:hunter2@db/shop does not answer")

    async with tills(ReceiptIntake(RULES, Away(), log, Noon())) as client:
        answer = await client.post("/v1/transactions", json=receipt())
    async with tills(None) as client:
        starting = await client.post("/v1/transactions", json=receipt())
    assert (answer.status_code, starting.status_code) == (503, 503)
    assert answer.headers["retry-after"] == "5"
    assert "hunter2" not in answer.text


@pytest.mark.kafka
async def test_on_kafka_a_posted_receipt_and_one_of_the_topic_are_stored_once(
    kafka_servers: str, tmp_path: Path
) -> None:
    opening = kafka_log(kafka_servers, ALL, namespace="receipts")
    async with opening as kafka, SqlInsightStore.open(f"sqlite:///{tmp_path}/db") as store:
        async with tills(intake(kafka, store)) as client:
            answer = await client.post("/v1/transactions", json=[receipt(1), receipt(2)])
        await kafka.append(
            [Record(TRANSACTIONS, "till-1", msgspec.json.encode(receipt(n))) for n in (2, 3)]
        )
        assert answer.status_code == 200
        assert await drain(kafka, store) == {"new": 1, "duplicate": 3}
        assert len(await stored(store)) == 3
        reader = await kafka.open_reader([INSIGHTS], since=NOW - timedelta(days=1))
        found: list[str] = []
        while len(found) < 4:
            batch = await reader.poll(max_records=100, wait_s=1.0)
            found += [decode(record.value).receipt_id for record in batch]
        await reader.close()
        assert sorted(found) == ["T1-1", "T1-2", "T1-2", "T1-3"]


# --- purchases ----------------------------------------------------------------------------------


async def test_the_engine_derives_purchases_anew_when_a_receipt_comes_late(
    log: MemoryEventLog, tmp_path: Path
) -> None:
    site = site_from_text(SITE_WITH_TILLS)
    url = f"sqlite:///{tmp_path}/insights.db"
    async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
        await store.prepare_figures(ZoneInfo("UTC"), {}, NOW)
        await store.record([_stay("a", 0), _stay("b", 120), _stay("c", 240)])
        await send(log, *(receipt(n, issued_at=_time(60 * n + 25)) for n in (0, 4)))
        task = DerivationTask(derivations(site), store, log, SystemClock())
        assert await drain(log, store) == {"new": 2}
        await task.close()
        assert await _payers(store) == {"T1-0": "track-a", "T1-4": "track-c"}
        unpaid = await store.fetch("unpaid_stay", *ALWAYS)
        assert [event.track_id for event in unpaid] == ["track-b"]

        await send(log, receipt(2, issued_at=_time(145)))
        await drain(log, store)
        await task.close()

        assert await _payers(store) == {"T1-0": "track-a", "T1-2": "track-b", "T1-4": "track-c"}
        assert await store.fetch("unpaid_stay", *ALWAYS) == []
    told = [decode(record.value) for record in await published(log, INSIGHTS)]
    assert {type(event).__name__ for event in told} == {
        "Receipt",
        "Purchase",
        "QueueVisit",
        "UnpaidStay",
        "Withdrawal",
    }


SITE_WITH_TILLS = """
site: shop
timezone: UTC
cameras:
  - id: till
    role: billing
    source: {url: "rtsp://127.0.0.1/till"}
    zones:
      - {id: desk, kind: till, tills: [till-1], polygon: [[0, 0], [1, 0], [1, 1]]}
      - {id: line, kind: queue, tills: [till-1], polygon: [[0, 0], [1, 0], [1, 1]]}
"""


def test_receipts_are_checked_against_the_tills_of_the_site_and_queues_are_no_desks() -> None:
    site = site_from_text(SITE_WITH_TILLS)
    assert receipt_rules(site).tills == {"till-1"}
    assert zones_of_till(site) == {"till-1": frozenset({("till", "desk")})}


def _time(seconds: float) -> str:
    return (NOW - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()


def _stay(who: str, begin_s: float) -> ZoneStay:
    begun = NOW - timedelta(hours=1) + timedelta(seconds=begin_s)
    return ZoneStay(
        event_id=EventId(f"stay-{who}"),
        site_id=RULES.site_id,
        camera_id=CameraId("till"),
        captured_at=begun + timedelta(seconds=30),
        zone_id="desk",
        track_id=TrackId(f"track-{who}"),
        label="person",
        entered_at=begun,
        dwell_s=30.0,
    )


async def _payers(store: ExpiringStore) -> dict[str, str | None]:
    found = await store.fetch("purchase", *ALWAYS)
    return {p.receipt_id: p.track_id for p in found if isinstance(p, Purchase)}
