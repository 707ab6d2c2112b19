"""``/v1/events`` and the other answers without end: resumed, bounded, ended with the session."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from tests.servers.kafka_logs import kafka_log
from tests.web.live_shop import PERSON, LiveStage, open_live_shop, until

from trinetra.adapters.clock import ManualClock
from trinetra.client import AsyncClient, Client, NotAuthorized
from trinetra.client.models import StreamedEvent
from trinetra.errors import EventLogUnavailable
from trinetra.events import topics
from trinetra.events.schema import AlertEvent, LifecycleEvent, TrackPosition, Visit
from trinetra.hosting import serving
from trinetra.ports import Record
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId
from trinetra.web.access import Role
from trinetra.web.live.ring import EventRing
from trinetra.web.live.streams import CHECK_S, STALLED_S, Places, Stream
from trinetra.web.problems import TooManyRequests

NOON = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)


def visit(name: str, camera: str = "door") -> Visit:
    return Visit(
        event_id=EventId(name),
        site_id=SiteId("shop"),
        camera_id=CameraId(camera),
        captured_at=NOON,
        customer_id=CustomerId("cus_1"),
        kind=IdentityKind.ANONYMOUS,
        started_at=NOON,
        cameras=(CameraId(camera),),
        visit_number=1,
    )


def alert(name: str) -> AlertEvent:
    return AlertEvent(
        event_id=EventId(name),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=NOON,
        rule="watchlist",
        severity="critical",
        message="seen",
    )


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[LiveStage]:
    async with open_live_shop(tmp_path) as stage:
        yield stage


@pytest.fixture
async def address(shop: LiveStage) -> AsyncIterator[str]:
    async with serving(shop.app, address="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}"


async def first(address: str, count: int, **options: object) -> list[StreamedEvent]:
    found = []
    async with AsyncClient(address) as client:
        async for event in client.events(**options):
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


async def test_events_come_in_order_after_the_id_that_was_read_last(
    shop: LiveStage, address: str
) -> None:
    before = shop.live.feed.ring.id_of(shop.live.feed.ring.end - 1)
    for name in ("v1", "v2", "v3"):
        await shop.send(visit(name))
    await shop.read()
    found = await first(address, 3, last_id=before)
    assert [(e.type, e.data["event_id"]) for e in found] == [
        ("visit", "v1"),
        ("visit", "v2"),
        ("visit", "v3"),
    ]
    [again] = await first(address, 1, last_id=found[1].id)
    assert again == found[2]


async def test_a_new_reader_gets_what_happens_from_now_on(shop: LiveStage, address: str) -> None:
    await shop.send(visit("earlier"))
    await shop.read()

    async def later() -> None:
        await until(lambda: shop.live.feed.event_places.taken)
        await shop.send(alert("a1"), topics.ALERTS)

    found, _ = await asyncio.gather(first(address, 1), later())
    assert [e.data["event_id"] for e in found] == ["a1"]


async def test_types_and_cameras_are_chosen(shop: LiveStage, address: str) -> None:
    before = shop.live.feed.ring.id_of(shop.live.feed.ring.end - 1)
    for event in (visit("v1"), visit("v2", "till"), visit("v3", "parking")):
        await shop.send(event)
    await shop.send(alert("a1"), topics.ALERTS)
    await shop.read()
    only = await first(address, 1, types=["visit"], cameras=["till"], last_id=before)
    alerts = await first(address, 1, types=["alert"], last_id=before)
    assert [e.data["event_id"] for e in (*only, *alerts)] == ["v2", "a1"]


@pytest.mark.parametrize("garbage", ["nonsense", "1-1", "0-99999999999999999999", "-1", "'; --"])
async def test_an_id_of_which_nothing_is_known_tells_a_reset(
    shop: LiveStage, address: str, garbage: str
) -> None:
    [event] = await first(address, 1, last_id=garbage)
    assert (event.type, "no longer kept" in event.data["reason"]) == ("reset", True)


async def test_the_stream_without_a_permission_or_of_an_unknown_type_is_refused(
    shop: LiveStage, address: str
) -> None:
    shop.signed_in.role = Role.VIEWER
    with pytest.raises(NotAuthorized, match="events:read"):
        await first(address, 1)
    async with shop.client(Role.OPERATOR) as client:
        for kind in ("nonsense", "tracks", "detection"):
            assert (await client.get("/v1/events", params={"type": kind})).status_code == 422


async def test_the_synchronous_client_reads_the_same(shop: LiveStage, address: str) -> None:
    before = shop.live.feed.ring.id_of(shop.live.feed.ring.end - 1)
    await shop.send(visit("v1"))
    await shop.read()

    def read() -> StreamedEvent:
        with Client(address) as client:
            return next(iter(client.events(last_id=before)))

    assert (await asyncio.to_thread(read)).data["event_id"] == "v1"


async def test_a_topic_is_rendered_once_for_all_who_read_it(shop: LiveStage, address: str) -> None:
    await shop.shown(people=[PERSON])

    async def one() -> bytes:
        url = f"{address}/v1/streams/cameras"
        async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", url) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data: "):
                    await reading.wait()
                    return line.encode()
        raise AssertionError("the stream ended")

    reading = asyncio.Barrier(20)
    told = await asyncio.gather(*(one() for _ in range(20)))
    door, *_ = json.loads(told[0].removeprefix(b"data: "))
    assert (door["id"], door["state"]) == ("door", "streaming")
    assert shop.live.feed.topics.made("cameras") <= 3


def test_a_ring_is_bounded_in_number_and_bytes() -> None:
    ring = EventRing(NOON, kept=3, kept_bytes=100)
    ids = []
    for _ in range(5):
        ids.append(ring.id_of(ring.end))
        ring.add("visit", CameraId("door"), b"x" * 10)
    assert ring.position(ids[0]) is None
    assert ring.position(ids[1]) == 3
    assert ring.has_lost(2)
    assert [e.number for e in ring.since(3, {"visit"}, 10)[0]] == [3, 4, 5]
    ring.add("visit", CameraId("door"), b"x" * 95)
    assert [e.number for e in ring.since(6, {"visit"}, 10)[0]] == [6]


def test_ids_of_another_run_of_the_process_have_a_gap() -> None:
    before, after = EventRing(NOON), EventRing(NOON.replace(second=1))
    before.add("visit", CameraId("door"), b"{}")
    after.add("visit", CameraId("door"), b"{}")
    assert after.position(before.id_of(1)) is None
    assert after.position(after.id_of(1)) == 2
    assert after.position(after.id_of(2)) is None


def test_a_reader_gets_at_most_so_many_events_at_once_and_goes_on_after_them() -> None:
    ring = EventRing(NOON)
    for kind in ("visit", "alert", "visit", "visit"):
        ring.add(kind, CameraId("door"), b"{}")
    found, following = ring.since(1, {"visit"}, 2)
    assert [e.number for e in found] == [1, 3]
    assert [e.number for e in ring.since(following, {"visit"}, 2)[0]] == [4]


class Viewer:
    """A client of an ASGI application that reads as the test says."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[dict] = []
        self.reads = reads
        self.gone = asyncio.Event()
        self.blocked = asyncio.Event()

    async def send(self, message: dict) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not self.reads:
            self.blocked.set()
            await asyncio.Event().wait()

    async def receive(self) -> dict:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Answer:
    """A stream of one part, after which nothing comes."""

    def __init__(self, places: Places, viewer: Viewer) -> None:
        self.clock, self.viewer, self.is_allowed, self.closed = (
            ManualClock(NOON),
            viewer,
            True,
            False,
        )
        self.stream = Stream(
            self.parts,
            media_type="text/event-stream",
            places=places,
            clock=self.clock,
            is_allowed=self.allowed,
        )
        self.task = asyncio.create_task(self.stream({"type": "http"}, viewer.receive, viewer.send))

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            yield b"part"
            await asyncio.Event().wait()
        finally:
            self.closed = True

    async def allowed(self) -> bool:
        return self.is_allowed

    async def pass_time(self, seconds: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_client_that_reads_nothing_loses_its_place() -> None:
    places = Places(1, "streams")
    answer = Answer(places, Viewer(reads=False))
    await answer.viewer.blocked.wait()
    with pytest.raises(TooManyRequests, match="1 streams are open already"):
        places.check()
    await answer.pass_time(STALLED_S / 2)
    assert places.taken == 1
    await answer.pass_time(STALLED_S)
    await answer.task
    assert (places.taken, answer.closed) == (0, True)
    assert len(answer.viewer.sent) == 2


async def test_a_stream_ends_with_the_session() -> None:
    places = Places(1, "streams")
    answer = Answer(places, Viewer())
    await answer.pass_time(CHECK_S)
    assert not answer.task.done()
    answer.is_allowed = False
    await answer.pass_time(CHECK_S)
    await answer.task
    assert (places.taken, answer.closed) == (0, True)
    assert answer.viewer.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_a_client_that_goes_gives_its_place_back() -> None:
    places = Places(1, "streams")
    answer = Answer(places, Viewer())
    await answer.pass_time(0)
    answer.viewer.gone.set()
    await answer.task
    assert (places.taken, answer.closed) == (0, True)


async def test_a_storm_of_clients_gets_no_more_places_than_there_are() -> None:
    places = Places(3, "streams")
    answers = [Answer(places, Viewer()) for _ in range(10)]  # all checked before any has begun
    await answers[0].pass_time(0)
    assert places.taken == 3
    refused = [a for a in answers if a.viewer.sent[0]["status"] == 429]
    assert len(refused) == 7
    for answer in answers:
        answer.viewer.gone.set()
        await answer.task
    assert places.taken == 0


async def test_the_tail_outlives_an_outage_of_the_log(
    shop: LiveStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = type(await shop.log.open_reader([topics.ALERTS], since=NOON)).poll
    failures = iter([True, True])

    async def away(self: object, **options: object) -> list:
        if next(failures, False):
            raise EventLogUnavailable("kafka:9092 does not answer")
        return await poll(self, **options)

    monkeypatch.setattr("trinetra.adapters.memory.event_log.MemoryTopicReader.poll", away)
    await shop.send(alert("a1"), topics.ALERTS)
    await shop.read()
    kinds = {e.kind for e in shop.live.feed.ring.since(1, {"alert"}, 9)[0]}
    assert kinds == {"alert"}


async def test_garbage_in_the_log_is_left_out(shop: LiveStage) -> None:
    for topic in (topics.DETECTIONS, topics.IDENTITIES, topics.INSIGHTS):
        for junk in (b"", b"{", b'{"type":"visit"}', b"\xff"):
            await shop.log.append([Record(topic, "door", junk)])
    await shop.send(visit("v1"))
    await shop.read()
    assert [e.kind for e in shop.live.feed.ring.since(1, {"visit"}, 9)[0]] == ["visit"]


async def test_an_erasure_leaves_no_event_and_no_track_behind(shop: LiveStage) -> None:
    frame = await shop.shown(people=[PERSON])
    who = {"customer_id": CustomerId("cus_1"), "kind": IdentityKind.ANONYMOUS}
    await shop.track(frame, TrackPosition(TrackId("trk_1"), "person", PERSON, **who))
    await shop.send(visit("v1"))
    await shop.read()
    last = shop.live.feed.ring.id_of(shop.live.feed.ring.end - 2)
    erased = LifecycleEvent(
        event_id=EventId("e1"),
        site_id=SiteId("shop"),
        camera_id=CameraId(""),
        captured_at=NOON,
        change="erased",
        customer_id=CustomerId("digest"),
    )
    await shop.send(erased, topics.CUSTOMERS)
    await shop.read()
    kept = shop.live.feed.ring.since(1, {"visit", "lifecycle"}, 99)[0]
    assert not any(b"cus_1" in event.payload for event in kept)
    assert shop.live.feed.ring.position(last) is None
    assert shop.live.feed.view.tracks(CameraId("door"), (7, frame.seq)) is None


async def test_boxes_of_a_camera_that_the_site_has_not_are_ignored(shop: LiveStage) -> None:
    frame = await shop.frame("door")
    other = replace(frame, camera_id=CameraId("elsewhere"))
    await shop.detect(other, people=[PERSON])
    await shop.track(other)
    async with shop.client() as client:
        assert [c["id"] for c in (await client.get("/v1/cameras")).json()["items"]] == [
            "door",
            "till",
            "parking",
        ]


@pytest.mark.kafka
async def test_the_web_follows_a_cluster(tmp_path: Path, kafka_servers: str) -> None:
    async with (
        kafka_log(kafka_servers, topics.ALL, namespace="web-tail") as log,
        open_live_shop(tmp_path, log=log) as shop,
    ):
        frame = await shop.shown(people=[PERSON])
        await shop.send(visit("v1"))
        await shop.read()
        assert shop.live.feed.view.frame(CameraId("door"), (7, frame.seq)) is not None
        await until(lambda: shop.live.feed.ring.since(1, {"visit"}, 9)[0])
