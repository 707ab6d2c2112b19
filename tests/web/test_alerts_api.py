"""``/v1/alerts`` and the page of alerts."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flows.api_shop import NOON
from tests.web.shop import Stage, open_shop

from trinetra.events.alerts import BoardChange, BoardQuery, Notice
from trinetra.values import CustomerId, SiteId
from trinetra.web.access import Role


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_shop(tmp_path) as stage:
        yield stage


def notice(name: str, **changes: object) -> Notice:
    fields: dict = {
        "alert_id": name,
        "site_id": SiteId("shop"),
        "rule": "queue_length",
        "subject": "till/queue",
        "severity": "warning",
        "title": "Long queue",
        "message": "7 people wait",
        "advice": "open a till",
        "raised_at": NOON,
        "last_at": NOON,
        "changed_at": NOON,
    }
    return Notice(**fields | changes)


async def raise_alerts(shop: Stage, *notices: Notice) -> None:
    await shop.alerts.change(BoardQuery(), lambda _: BoardChange(notices=notices))


async def test_alerts_are_listed_newest_first_in_pages(shop: Stage) -> None:
    times = [NOON + timedelta(minutes=n) for n in range(3)]
    await raise_alerts(shop, *(notice(f"a{n}", raised_at=at) for n, at in enumerate(times)))
    client = shop.client(Role.VIEWER)
    first = (await client.get("/v1/alerts", params={"limit": 2})).json()
    cursor = first["next_cursor"]
    second = (await client.get("/v1/alerts", params={"limit": 2, "cursor": cursor})).json()
    assert [a["id"] for a in first["items"] + second["items"]] == ["a2", "a1", "a0"]
    assert second["next_cursor"] is None


async def test_acknowledging_tells_who_and_needs_the_permission(shop: Stage) -> None:
    await raise_alerts(shop, notice("a1"))
    refused = await shop.client(Role.VIEWER).post("/v1/alerts/a1/acknowledge")
    assert (refused.status_code, "alerts:write" in refused.json()["detail"]) == (403, True)
    done = (await shop.client(Role.OPERATOR).post("/v1/alerts/a1/acknowledge")).json()
    assert (done["state"], done["by"]) == ("acknowledged", "Asha")


async def test_an_unknown_alert_is_a_problem_that_says_where_to_look(shop: Stage) -> None:
    reply = await shop.client().post("/v1/alerts/nothing/acknowledge")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert "GET /v1/alerts" in reply.json()["detail"]
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("role", Role)
async def test_who_an_alert_is_about_is_told_to_those_who_may_know_people(
    shop: Stage, role: Role
) -> None:
    person = {"person": CustomerId("ann"), "subject": "ann", "private": "B-XY 12"}
    await raise_alerts(shop, notice("a1", rule="watchlist", **person))
    [told] = (await shop.client(role).get("/v1/alerts")).json()["items"]
    knows = role is not Role.VIEWER
    assert (told["customer_id"] == "ann", told["private"] != "", told["subject"] != "") == (
        (knows,) * 3
    )


async def test_a_mute_is_in_force_until_it_is_ended(shop: Stage) -> None:
    client, later = shop.client(), (NOON + timedelta(hours=9)).isoformat()
    body = {"rule": "queue_length", "until": later}
    assert (await client.post("/v1/alert-controls/mutes", json=body)).status_code == 201
    assert [m["rule"] for m in (await client.get("/v1/alert-controls")).json()["mutes"]] == [
        "queue_length"
    ]
    await client.post("/v1/alert-controls/mutes", json=body | {"until": NOON.isoformat()})
    assert (await client.get("/v1/alert-controls")).json()["mutes"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/alert-controls/mutes", {"rule": "nonsense", "until": "2026-12-01T00:00:00Z"}),
        ("/v1/alert-controls/mutes", {"rule": "vip", "until": "2026-12-01T00:00:00"}),
        ("/v1/alert-controls/mutes", {"rule": "vip"}),
    ],
)
async def test_a_mute_that_cannot_be_meant_is_refused(shop: Stage, path: str, body: dict) -> None:
    reply = await shop.client().post(path, json=body)
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")


async def test_the_page_lists_alerts_with_advice_and_disarms(shop: Stage) -> None:
    await raise_alerts(shop, notice("a1", title="<b>Long</b> queue"))
    client = shop.client()
    page = (await client.get("/alerts")).text
    assert "open a till" in page
    assert "&lt;b&gt;Long" in page
    assert "Intruder alerts are on" in page
    told = (await client.post("/alerts/arm", data={"armed": "false"})).text
    assert "Intruder alerts are off" in told
    row = (await client.post("/alerts/acknowledge", data={"alert_id": "a1"})).text
    assert "Being handled" in row
