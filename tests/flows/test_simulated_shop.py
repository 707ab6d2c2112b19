"""The simulated shop of today: past on record, live from now on."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trinetra.events.schema import CameraCoverage, Receipt
from trinetra.settings import Settings
from trinetra.site.writing import site_text
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, SiteId, microseconds
from trinetra.wiring.simulated_insights import TruthInsights
from trinetra.wiring.simulated_shop import SimulatedShop
from trinetra.wiring.simulation import simulated, site_of

OPENS = datetime(2026, 11, 30, 9, tzinfo=UTC)
AN_HOUR = Scenario(hours=1.0, open_hours=1.0, started_at=OPENS)
CAMERAS = frozenset(CameraId(view.camera_id) for view in built_in_shop().views)


@pytest.mark.parametrize("hour", range(24))
def test_the_shop_is_where_it_is_afternoon_now(hour: int) -> None:
    now = datetime(2026, 7, 1, hour, 10, tzinfo=UTC)
    shop = SimulatedShop.of(now)
    assert 14 <= now.astimezone(shop.zone).hour <= 16
    day = shop.day(0).scenario.started_at
    assert now - timedelta(hours=8) < day < now


def test_nothing_is_on_record_that_has_not_happened_yet() -> None:
    now = OPENS + timedelta(minutes=40)
    truth = TruthInsights(Twin(built_in_shop(), AN_HOUR), SiteId("shop"), "", CAMERAS, "today")
    told = truth.until(now)
    assert 0 < len(told) < len(truth.insights())
    assert max(event.captured_at for event in told) <= now
    watched = [event for event in told if isinstance(event, CameraCoverage)]
    assert {(c.started_at, c.captured_at) for c in watched} == {(OPENS, now)}


def test_receipts_of_two_days_have_different_ids() -> None:
    twin = Twin(built_in_shop(), AN_HOUR)
    days = [TruthInsights(twin, SiteId("shop"), "", CAMERAS, f"day{n}") for n in (1, 2)]
    ids = [{e.receipt_id for e in day.insights() if isinstance(e, Receipt)} for day in days]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_run_continues_in_the_middle_as_the_whole_run_does() -> None:
    twin = Twin(built_in_shop(), Scenario(hours=0.1, started_at=OPENS))
    middle = microseconds(OPENS + timedelta(minutes=4))
    whole = [a for a in twin.arrivals() if a.at_us >= middle]
    assert [a for a in twin.arrivals(skip_s=200.0) if a.at_us >= middle] == whole


async def test_what_is_changed_in_the_site_file_of_a_twin_is_taken_over(tmp_path: Path) -> None:
    twin = Twin(built_in_shop(), AN_HOUR)
    site, path = site_of(twin.plan), tmp_path / "site.yaml"
    await asyncio.to_thread(path.write_text, site_text(site))
    settings = Settings(data_dir=tmp_path / "data")
    async with simulated(site, settings, twin, speed=1.0, site_file=path) as platform:
        assert platform.watcher in platform.services
        await platform.watcher.look()
        assert platform.watcher.status()["taken_over"] == 0
        changed = site_text(site).replace("doorstep", "sill")
        await asyncio.to_thread(path.write_text, changed)
        await platform.watcher.look()
        assert platform.watcher.problems == ()
        assert [line.id for line in platform.watcher.site.cameras[0].lines] == ["sill"]
