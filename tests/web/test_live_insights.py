"""Queues, journeys, heatmaps and health by the typed client: known, unknown, and of few people."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.web.live_shop import SHOP, STATUS, LiveStage, open_live_shop

from trinetra.adapters.clock import SystemClock
from trinetra.client import ApiProblem, AsyncClient
from trinetra.events.schema import (
    FloorCell,
    FloorPresence,
    Journey,
    JourneyStep,
    Occupancy,
    QueueVisit,
)
from trinetra.hosting import health_app, serving
from trinetra.telemetry import FRAMES_WAITING
from trinetra.values import CameraId, CustomerId, EventId, SiteId, TrackId
from trinetra.web.access import Role
from trinetra.wiring.health import HealthPages, health_report
from trinetra.wiring.site_watch import SiteWatcher, WatchedService

TODAY = SystemClock().now().date()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[LiveStage]:
    async with open_live_shop(tmp_path) as stage:
        yield stage


@pytest.fixture
async def client(shop: LiveStage) -> AsyncIterator[AsyncClient]:
    shop.signed_in.role = Role.VIEWER
    async with AsyncClient("http://shop", transport=httpx.ASGITransport(app=shop.app)) as opened:
        yield opened


def common(name: str, camera: str, at: datetime) -> dict:
    return {
        "event_id": EventId(name),
        "site_id": SiteId("shop"),
        "camera_id": CameraId(camera),
        "captured_at": at,
    }


def occupancy(name: str, zone: str, persons: int, **fields: object) -> Occupancy:
    at = SystemClock().now()
    return Occupancy(**common(name, "till", at), zone_id=zone, persons=persons, **fields)


def served(name: str, minutes_ago: float, wait_s: float) -> QueueVisit:
    at = SystemClock().now() - timedelta(minutes=minutes_ago)
    return QueueVisit(
        **common(name, "till", at),
        queue_id="line",
        till_id="t1",
        joined_at=at - timedelta(seconds=wait_s + 60),
        served_at=at - timedelta(seconds=60),
        end="served",
        wait_s=wait_s,
        service_s=60.0,
        track_id=TrackId(name),
    )


async def test_a_queue_of_which_nothing_is_known_is_unknown(client: AsyncClient) -> None:
    now = await client.queues()
    [queue] = now.queues
    assert (queue.zone, queue.tills, queue.people, queue.wait_s, queue.forecasts) == (
        "line",
        ("t1",),
        None,
        None,
        (),
    )
    assert [(till.id, till.is_open) for till in now.tills] == [("t1", None)]


async def test_people_waits_and_a_forecast_without_a_range(
    shop: LiveStage, client: AsyncClient
) -> None:
    await shop.store.record([served("v1", 5, 30.0), served("v2", 2, 90.0)])
    await shop.send(occupancy("o1", "line", 3))
    await shop.read()
    now = await client.queues()
    [queue] = now.queues
    assert (queue.people, queue.wait_s, queue.served, queue.abandoned) == (3, 60.0, 2, 0)
    assert [(f.horizon_s, f.wait_s, f.low_s) for f in queue.forecasts] == [
        (300.0, 120.0, None),  # 3 people at 60 s, averaged with the recent wait
        (600.0, 120.0, None),
        (900.0, 120.0, None),
    ]
    assert [(till.id, till.is_open) for till in now.tills] == [("t1", True)]


async def test_a_range_follows_from_the_forecasts_of_the_day(
    shop: LiveStage, client: AsyncClient
) -> None:
    visits = [served(f"v{n}", 3 * n, 60.0 + 30 * (n % 3)) for n in range(80)]
    await shop.store.record(visits)
    await shop.send(occupancy("o1", "line", 1))
    await shop.read()
    [queue] = (await client.queues()).queues
    for told in queue.forecasts:
        assert told.low_s is not None
        assert told.high_s is not None
        assert told.low_s <= told.high_s


async def test_a_queue_that_its_camera_does_not_see_has_no_forecast(
    shop: LiveStage, client: AsyncClient
) -> None:
    await shop.store.record([served("v1", 5, 30.0)])
    await shop.send(occupancy("o1", "line", 0, unseen=True))
    await shop.read()
    [queue] = (await client.queues()).queues
    assert (queue.people, queue.forecasts, queue.served) == (None, (), 1)


async def test_what_was_told_before_the_web_began_is_read_from_the_store(tmp_path: Path) -> None:
    async with open_live_shop(tmp_path) as shop:
        await shop.store.record([occupancy("o1", "line", 4), occupancy("o2", "desk", 0)])
        transport = httpx.ASGITransport(app=shop.app)
        async with AsyncClient("http://shop", transport=transport) as client:
            now = await client.queues()
    assert [(queue.people) for queue in now.queues] == [4]
    assert [till.is_open for till in now.tills] == [False]


def journey(number: int, who: str, *zones: str) -> Journey:
    at = SystemClock().now() - timedelta(minutes=number)
    return Journey(
        **common(f"j{number}", "door", at),
        visit_id=EventId(f"v{number}"),
        customer_id=CustomerId(who),
        started_at=at,
        steps=tuple(JourneyStep(CameraId("door"), zone, at, 10.0) for zone in zones),
    )


async def test_journeys_of_too_few_people_are_left_out(
    shop: LiveStage, client: AsyncClient
) -> None:
    assert SHOP.policies.privacy.least_people == 2
    walked = [journey(n, f"c{n}", "mat", "shelf") for n in range(3)]
    await shop.store.record([*walked, journey(9, "c9", "shelf", "secret"), journey(8, "c8", "x")])
    found = await client.journeys(TODAY - timedelta(days=1), TODAY + timedelta(days=2))
    flows = {(flow.start, flow.end): flow.people for flow in found.flows}
    assert flows[("door/mat", "door/shelf")] == 3
    assert not any("secret" in zone or zone == "door/x" for flow in flows for zone in flow)
    assert found.flows_left_out > 0
    assert [(path.zones, path.people) for path in found.paths] == [(("door/mat", "door/shelf"), 3)]
    assert {(step.step, step.end) for step in found.steps} >= {(0, "door/mat"), (1, "door/shelf")}
    assert found.journeys == 5


async def test_journeys_are_read_for_a_month_at_most(client: AsyncClient) -> None:
    with pytest.raises(ApiProblem, match="31 days"):
        await client.journeys(date(2026, 1, 1), date(2026, 12, 31))


def presence(camera: str, grid: str, at: datetime) -> FloorPresence:
    return FloorPresence(
        **common(f"p-{camera}", camera, at + timedelta(minutes=15)),
        started_at=at,
        grid=grid,
        cells=(FloorCell(1, 2, 1_800_000, 5), FloorCell(3, 2, 900_000, 1), FloorCell(4, 2, 9, 1)),
    )


async def test_heatmaps_of_the_floor_and_of_a_picture(shop: LiveStage, client: AsyncClient) -> None:
    begin = datetime(2026, 11, 27, 9, tzinfo=SystemClock().now().tzinfo)
    await shop.store.record([presence("door", "floor", begin), presence("till", "picture", begin)])
    end = begin + timedelta(hours=1)
    floor, till = (
        await client.heatmap("floor", begin, end),
        await client.heatmap("till", begin, end),
    )
    assert [(c.x, c.y, c.hours) for c in floor.cells] == [(1, 2, 0.5)]
    assert (floor.grid, floor.cell_m, floor.left_out) == ("floor", 1.0, 2)
    assert (till.grid, till.cell_m, len(till.cells)) == ("picture", None, 1)


@pytest.mark.parametrize(
    ("place", "minutes", "status", "words"),
    [("nowhere", 60, 404, "no camera nowhere"), ("floor", 30, 422, "full hour")],
)
async def test_a_heatmap_that_cannot_be_made_says_why(
    client: AsyncClient, place: str, minutes: int, status: int, words: str
) -> None:
    begin = datetime(2026, 11, 27, 9, tzinfo=SystemClock().now().tzinfo)
    with pytest.raises(ApiProblem, match=words) as refused:
        await client.heatmap(place, begin, begin + timedelta(minutes=minutes))
    assert refused.value.status == status


class Stage:
    """A service that only tells."""

    def __init__(self, name: str, status: object, *, is_ready: bool) -> None:
        self.name, self._status, self._is_ready = name, status, is_ready

    async def run(self, stopping: object) -> None:
        """Do nothing."""

    def ready(self) -> bool:
        return self._is_ready

    def status(self) -> object:
        return self._status


async def test_a_cluster_is_asked_by_its_health_pages(tmp_path: Path) -> None:
    FRAMES_WAITING.labels("cluster-door").set(4)
    file = tmp_path / "site.yaml"
    file.write_text("site: shop\n", encoding="utf-8")
    watcher = SiteWatcher(file, SHOP, SystemClock(), None)
    await watcher.look()
    of_cameras = Stage("stream-ingestor", {"cluster-door": STATUS}, is_ready=True)
    ingest = WatchedService(of_cameras, watcher)  # as `trinetra ingest` runs it
    resolve = Stage("identity-resolver", {"waiting": "Kafka"}, is_ready=False)
    async with (
        serving(health_app([ingest]), address="127.0.0.1", port=0) as one,
        serving(health_app([resolve]), address="127.0.0.1", port=0) as two,
    ):
        pages = HealthPages(
            [f"http://127.0.0.1:{one}", f"http://127.0.0.1:{two}", "http://127.0.0.1:9"]
        )
        told = await pages.ask()
        report = await health_report(pages, (), SystemClock())
    assert told.cameras["cluster-door"].sample_fps == 5.04
    assert told.waiting("cluster-door") == 4
    assert told.waiting("elsewhere") is None
    first, second = report.stages[:2]
    assert (first.name, first.is_ready) == ("stream-ingestor", True)
    assert "site.yaml:1:1: timezone" in first.detail
    assert (second.name, second.is_ready, second.detail) == ("identity-resolver", False, "Kafka")
    assert (report.stages[2].name, report.stages[2].is_ready) == ("http://127.0.0.1:9", None)


async def test_health_names_the_networks_with_license_and_digest(client: AsyncClient) -> None:
    report = await client.health()
    assert {model.task for model in report.models} >= {"detect", "face_find", "face_embed"}
    assert all(model.license for model in report.models)
    assert all(len(model.sha256 or "") == 64 for model in report.models)
