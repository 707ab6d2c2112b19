"""``trinetra why`` and ``trinetra metrics``: any figure is explained down to the track."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.flows.commands import Commands

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.commands import metrics, why
from trinetra.errors import ConfigurationError
from trinetra.events.schema import CameraCoverage, LineCrossing
from trinetra.insights.metrics.catalog import METRICS, ROLLUP_RULES
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
NOON = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
SITE = """
site: shop
timezone: Europe/Berlin
opening_hours: [{days: [fri], opens: "12:00", closes: "16:00"}]
cameras:
  - id: door
    role: entrance
    source: {file: door.mp4}
    lines: [{id: main, a: [0, 0.5], b: [1, 0.5]}]
"""


def of_door(number: int, minute: int) -> dict:
    return {
        "event_id": EventId(f"e{number}"),
        "site_id": SiteId("shop"),
        "camera_id": CameraId("door"),
        "captured_at": NOON + timedelta(minutes=minute),
    }


def crossing(number: int, **fields: object) -> LineCrossing:
    track = {"track_id": TrackId(f"trk_{number}"), "label": "person"}
    line = {"line_id": "main", "direction": "in"}
    return LineCrossing(**{**of_door(number, number), **track, **line, **fields})


EVE = {"customer_id": CustomerId("eve"), "kind": IdentityKind.STAFF}
RECORDED = (
    *(crossing(number) for number in range(5)),
    crossing(5, **EVE),
    crossing(90, direction="out"),
    CameraCoverage(**of_door(100, 60), started_at=NOON, frames=9, ended="silent"),
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/insights.db"
    monkeypatch.setenv("TRINETRA_STORE_URL", url)

    async def fill() -> None:
        async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
            await store.prepare_figures(ZoneInfo("Europe/Berlin"), {}, NOON)
            await store.record(RECORDED)

    asyncio.run(fill())
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    return site


WHY = Commands("why", why.register, metrics.register)
LISTED = Commands("metrics", why.register, metrics.register)
DAY = ("--day", "2026-11-27")


def test_a_figure_is_explained_down_to_the_track_and_to_the_minute(shop: Path) -> None:
    text = WHY.output("traffic_in", "--site", shop, *DAY)
    assert "Traffic in of the whole site" in text
    assert "5 (25% of the time watched)" in text
    assert "12:03:00" in text
    assert "track trk_3" in text
    assert "(staff)" in text
    assert "not watched: door, 2026-11-27 13:00:00 to 2026-11-27 16:00:00 (silent)" in text
    assert "equals the sum on record" in text


def test_an_explanation_is_also_one_json_object(shop: Path) -> None:
    options = ("--from", "12:02", "--to", "12:04", "--place", "door/main", "--json")
    found = json.loads(WHY.output("traffic_in", "--site", shop, *DAY, *options))
    assert (found["value"], found["is_exact"], found["completeness"]) == (2, True, 1.0)
    assert [each["event_id"] for each in found["counted"]] == ["e2", "e3"]
    assert found["gaps"] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("traffic", *DAY), "no metric is called 'traffic'; there are: footfall_in"),
        (("traffic_in", "--day", "yesterday"), "write a date"),
        (("traffic_in", *DAY, "--from", "25:00"), "write a time of day"),
        (("traffic_in", *DAY, "--from", "14:00", "--to", "13:00"), "is not after"),
    ],
)
def test_a_mistake_is_named_with_what_to_write_instead(
    shop: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    failure = WHY.failed(*arguments, "--site", shop)
    assert isinstance(failure, ConfigurationError)
    assert complaint in str(failure)


def test_the_published_definitions_are_those_of_the_catalog() -> None:
    assert DOCUMENT.read_text() == LISTED.output("--markdown"), "run `make docs`"
    listed = json.loads(LISTED.output("--json"))
    assert [each["name"] for each in listed] == [metric.name for metric in METRICS]
    assert all(each["counts"] and each["leaves_out"] for each in listed)
