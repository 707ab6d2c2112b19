"""``/v1/audits``: what was counted by hand stands beside the platform's count and its figures."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flows.api_shop import NOON
from tests.web.shop import SHOP, SignedIn, StoppedClock

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.events.schema import LineCrossing, Passage
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.settings import load_settings
from trinetra.values import EventId
from trinetra.web.access import Role
from trinetra.web.app import inner_app
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.web import backend_of

CAMERA = next(camera for camera in SHOP.cameras if camera.lines)
LINE = CAMERA.lines[0]
PLACE = f"{CAMERA.id}/{LINE.id}"
START, END = NOON, NOON + timedelta(minutes=10)


def common(name: str, seconds: float) -> dict[str, Any]:
    return {
        "event_id": EventId(name),
        "site_id": SHOP.site_id,
        "camera_id": CAMERA.camera_id,
        "captured_at": NOON + timedelta(seconds=seconds),
    }


class Counted:
    """A store with crossings of one line, and the API on it."""

    def __init__(self, store: SqlInsightStore) -> None:
        self.store, self.clock, self.signed_in = store, StoppedClock(), SignedIn(Role.OPERATOR)
        self.clock.at = NOON + timedelta(hours=1)
        self.app = inner_app(backend_of(SHOP, store, self.clock), self.signed_in)

    def client(self, role: Role = Role.OPERATOR) -> httpx.AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")

    async def cross(self, seconds: list[float], direction: str = "in", line: str = LINE.id) -> None:
        await self.store.record(
            [
                LineCrossing(
                    **common(f"{line}{direction}{at}", at),
                    line_id=line,
                    direction=direction,
                    track_id=f"t{at}",
                    label="person",
                )
                for at in seconds
            ]
        )

    async def pass_doors(self, seconds: list[float]) -> None:
        await self.store.record(
            [
                Passage(
                    **common(f"p{at}", at),
                    door_id=PLACE,
                    door_kind="entrance",
                    direction="in",
                    label="person",
                    crossings=(EventId(f"{LINE.id}in{at}"),),
                )
                for at in seconds
            ]
        )

    async def audit(self, taps: list[Any], **changes: Any) -> httpx.Response:
        body = {
            "camera": CAMERA.id,
            "line": LINE.id,
            "start": START.isoformat(),
            "end": END.isoformat(),
            "taps": [
                tap
                if isinstance(tap, dict)
                else {"at": (NOON + timedelta(seconds=tap)).isoformat(), "direction": "in"}
                for tap in taps
            ],
        }
        return await self.client().post("/v1/audits", json=body | changes)

    async def figure(self, start: datetime = NOON, place: str | None = PLACE) -> dict[str, Any]:
        params = {
            "metric": "traffic_in",
            "start": start.isoformat(),
            "end": (start + timedelta(hours=1)).isoformat(),
            "granularity": "range",
        } | ({"place": place} if place else {})
        [found] = (await self.client().get("/v1/figures", params=params)).json()["figures"]
        return found


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Counted]:
    async with SqlInsightStore.open(f"sqlite:///{tmp_path / 'i.db'}", ROLLUP_RULES) as store:
        counted = Counted(store)
        await prepare_figures(store, SHOP, load_settings(), counted.clock)
        yield counted


async def test_taps_and_crossings_are_compared_one_to_one(shop: Counted) -> None:
    await shop.cross([10, 20, 30, 100])
    answer = await shop.audit([10.5, 21, 29, 50, 51])
    assert answer.status_code == 201
    made = answer.json()
    [way_in, way_out] = made["directions"]
    assert (way_in["by_hand"], way_in["by_platform"], way_in["matched"]) == (5, 4, 3)
    assert way_in["factor"] == 1.25
    assert way_in["low"] < 1.25 < way_in["high"]
    assert (way_out["by_hand"], way_out["factor"]) == (0, None)
    assert (made["by"], made["is_current"]) == ("Asha", True)
    listed = (await shop.client(Role.VIEWER).get("/v1/audits")).json()
    assert listed["items"] == [made]
    assert (await shop.client().get(f"/v1/audits/{made['id']}")).json() == made


async def test_figures_of_the_line_carry_the_interval_of_its_latest_audit(shop: Counted) -> None:
    await shop.cross([float(n) for n in range(0, 400, 10)])
    assert ((await shop.figure())["low"], (await shop.figure())["high"]) == (None, None)
    await shop.audit([float(n) for n in range(0, 400, 10)])
    figure = await shop.figure()
    assert figure["value"] == 40
    assert 30 < figure["low"] < 40 < figure["high"] < 55


async def test_the_sum_over_lines_has_an_interval_where_each_of_them_was_audited(
    shop: Counted,
) -> None:
    await shop.cross([float(n) for n in range(0, 400, 10)])
    await shop.audit([float(n) for n in range(0, 400, 10)])
    line, whole = await shop.figure(), await shop.figure(place=None)
    assert (whole["value"], whole["low"], whole["high"]) == (40, line["low"], line["high"])
    await shop.cross([5.0], line="another")
    whole = await shop.figure(place=None)
    assert (whole["value"], whole["low"], whole["high"]) == (41, None, None)


async def test_today_shows_the_interval_beside_the_figure(shop: Counted) -> None:
    await shop.cross([float(n) for n in range(0, 400, 10)])
    await shop.pass_doors([float(n) for n in range(0, 400, 10)])
    assert "–" not in _beside_the_count((await shop.client().get("/")).text)
    await shop.audit([float(n) for n in range(0, 400, 10)])
    assert re.search(r"3\d–4\d", _beside_the_count((await shop.client().get("/")).text))


def _beside_the_count(html: str) -> str:
    """Return what Today shows where it says that 40 people came in."""
    found = re.search(r">40(\s*<small>[^<]*)?<", html)
    assert found, html
    return found[1] or ""


async def test_after_the_line_was_moved_the_audit_no_longer_holds(shop: Counted) -> None:
    await shop.cross([float(n) for n in range(0, 400, 10)])
    await shop.audit([float(n) for n in range(0, 400, 10)])
    lines = (LINE.model_copy(update={"a": (0.11, 0.22)}), *CAMERA.lines[1:])
    moved = SHOP.model_copy(
        update={
            "cameras": tuple(
                c.model_copy(update={"lines": lines}) if c.id == CAMERA.id else c
                for c in SHOP.cameras
            )
        }
    )
    shop.clock.at += timedelta(minutes=1)
    await prepare_figures(shop.store, moved, load_settings(), shop.clock)
    later = NOON + timedelta(hours=2)
    await shop.store.record(
        [
            LineCrossing(
                event_id=EventId("late"),
                site_id=SHOP.site_id,
                camera_id=CAMERA.camera_id,
                captured_at=later + timedelta(minutes=1),
                line_id=LINE.id,
                direction="in",
                track_id="t",
                label="person",
            )
        ]
    )
    assert (await shop.figure())["low"] is not None
    assert (await shop.figure(later))["low"] is None
    shop.clock.at += timedelta(hours=3)
    [state] = [
        each
        for each in (await shop.client().get("/v1/audits/lines")).json()["items"]
        if (each["camera"], each["line"]) == (CAMERA.id, LINE.id)
    ]
    assert (state["is_due"], "the line has changed" in state["reason"]) == (True, True)


async def test_lines_that_were_never_counted_are_due(shop: Counted) -> None:
    states = (await shop.client(Role.VIEWER).get("/v1/audits/lines")).json()["items"]
    assert {(s["is_due"], s["reason"]) for s in states} == {(True, "never counted by hand")}
    await shop.cross([float(n) for n in range(0, 400, 10)])
    await shop.audit([float(n) for n in range(0, 400, 10)])
    states = (await shop.client().get("/v1/audits/lines")).json()["items"]
    assert [s["is_due"] for s in states if (s["camera"], s["line"]) == (CAMERA.id, LINE.id)] == [
        False
    ]


LATE = (NOON + timedelta(hours=2)).isoformat()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"line": "gone"}, 404),
        ({"camera": "../x"}, 422),
        ({"end": START.isoformat()}, 422),
        ({"end": LATE}, 422),
        ({"start": (NOON - timedelta(hours=5)).isoformat()}, 422),
        ({"taps": [{"at": LATE, "direction": "in"}]}, 422),
        ({"taps": [{"at": "2026-11-30T12:00:00", "direction": "in"}]}, 422),
        ({"taps": [{"at": START.isoformat(), "direction": "up"}]}, 422),
        ({"tolerance_s": 1e9}, 422),
        ({"taps": [{"at": START.isoformat(), "direction": "in"}] * 5001}, 422),
    ],
)
async def test_counts_that_cannot_be_are_refused(
    shop: Counted, changes: dict[str, Any], status: int
) -> None:
    assert (await shop.audit(**{"taps": [1.0]} | changes)).status_code == status
    assert (await shop.client().get("/v1/audits")).json()["items"] == []


async def test_who_may_not_count_cannot(shop: Counted) -> None:
    for role in (Role.VIEWER, Role.PRIVACY_OFFICER):
        assert (await shop.client(role).post("/v1/audits", json={})).status_code == 403
    assert (await shop.client().get("/v1/audits", params={"cursor": "x"})).status_code == 422
