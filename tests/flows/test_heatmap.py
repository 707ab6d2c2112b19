"""``trinetra heatmap``: the floor, or one camera's picture, without cells of few people."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.flows.commands import Commands

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands import heatmap, why
from trinetra.errors import ConfigurationError
from trinetra.events.schema import FloorCell, FloorPresence
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.values import CameraId, EventId, SiteId

NOON = datetime(2026, 11, 27, 6, 30, tzinfo=UTC)
"""In Kolkata, whose hours begin at the half hour of UTC."""
SITE = """
site: shop
timezone: Asia/Kolkata
cameras:
  - id: door
    role: entrance
    source: {file: door.mp4}
    floor: [[[0, 1], [0, 0]], [[1, 1], [4, 0]], [[1, 0.2], [6, 9]], [[0, 0.2], [-2, 9]]]
  - id: shelf
    role: tracking
    source: {file: shelf.mp4}
"""
DAY = ("--day", "2026-11-27")
HEAT = Commands("heatmap", heatmap.register, why.register)


def presence(camera: str, minute: int, cells: tuple[FloorCell, ...]) -> FloorPresence:
    started = NOON + timedelta(minutes=minute)
    return FloorPresence(
        event_id=EventId(f"{camera}-{minute}"),
        site_id=SiteId("shop"),
        camera_id=CameraId(camera),
        captured_at=started + timedelta(minutes=15),
        started_at=started,
        grid="floor" if camera == "door" else "picture",
        cells=cells,
    )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/insights.db"
    monkeypatch.setenv("TRINETRA_STORE_URL", url)
    many, few = FloorCell(-1, 2, 1_800_000, 5), FloorCell(0, 2, 900_000, 4)
    small = FloorCell(1, 2, 900_000, 1)

    async def fill() -> None:
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.prepare_figures(ZoneInfo("Asia/Kolkata"), {}, NOON)
            await store.record(
                [
                    presence("door", 0, (many, few, small)),
                    presence("door", 60, (many,)),
                    presence("shelf", 0, (FloorCell(31, 17, 3_600_000, 7),)),
                ]
            )

    asyncio.run(fill())
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    return site


def test_the_floor_has_the_cells_of_enough_people(shop: Path) -> None:
    rows = HEAT.output("--site", shop, *DAY, "--format", "csv").splitlines()
    assert rows == ["grid,x,y,person_hours", "floor,-1,2,1.000000"]


def test_hours_are_those_of_the_shop(shop: Path) -> None:
    hour = ("--from", "12:00", "--to", "13:00")
    rows = HEAT.output("--site", shop, *DAY, *hour, "--format", "csv").splitlines()
    assert rows[1:] == ["floor,-1,2,0.500000"]


def test_a_camera_without_floor_points_has_a_picture(shop: Path) -> None:
    text = HEAT.output("--site", shop, *DAY, "--camera", "shelf")
    assert text.splitlines()[17] == 62 * " " + "██"
    assert "parts of the picture" in text


def test_no_time_is_told_where_no_cell_may_be_shown(shop: Path) -> None:
    text = HEAT.output("--site", shop, "--day", "2026-11-26")
    assert text == "No cell has enough people to be shown.\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "12:30"), "full hour of the shop's clock"),
        (("--to", "11:59"), "full hour of the shop's clock"),
        (("--from", "14:00", "--to", "13:00"), "is not after"),
        (("--from", "noon"), "write a time of day"),
        (("--day", "27.11."), "write a date"),
        (("--camera", "dor"), "the site has door, shelf"),
    ],
)
def test_mistakes_are_told(shop: Path, options: tuple[str, ...], told: str) -> None:
    failure = HEAT.failed("--site", shop, *DAY, *options)
    assert isinstance(failure, ConfigurationError)
    assert told in str(failure)
