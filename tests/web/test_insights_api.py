"""``/v1/insights``, ``why``, vehicles, context, reports, exports and changes of figures."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import httpx
import openpyxl
import pyarrow.parquet as pq
import pytest
from tests.flows.api_shop import FRIDAY, NOON, SATURDAY, crossing
from tests.web.people_shop import BOB, SCRIPT, PeopleShop, open_people_shop

from trinetra.client import ApiProblem
from trinetra.client.models import ExportName
from trinetra.web.access import Role
from trinetra.web.deprecation import deprecated
from trinetra.wiring.audit_trail import audit_log

DAY = {"start": "2026-11-27", "end": "2026-11-28"}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[PeopleShop]:
    async with open_people_shop(tmp_path) as opened:
        yield opened


async def refused(reply: httpx.Response, status: int, told: str) -> None:
    assert reply.status_code == status, reply.text
    assert told in reply.json()["detail"]


async def test_insights_are_read_in_pages_in_the_order_of_capture(shop: PeopleShop) -> None:
    client = shop.client(Role.VIEWER)
    found, cursor = [], None
    while True:
        page = await client.insights("line_crossing", FRIDAY, SATURDAY, limit=3, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert [insight.event_id for insight in found] == ["e0", "e1", "e2", "e3", "e4", "e5", "e50"]
    assert found[0].fields["line_id"] == "main"
    assert {one.kind for one in (await client.insight_types()).items} >= {"visit", "purchase"}


async def test_ids_of_people_are_told_only_to_callers_who_may_know_them(shop: PeopleShop) -> None:
    for role, knows in ((Role.VIEWER, False), (Role.OPERATOR, True)):
        [visit, *_] = (await shop.client(role).insights("visit", FRIDAY, SATURDAY)).items
        assert ("customer_id" in visit.fields) is knows
        [car, *_] = (await shop.client(role).vehicles(FRIDAY, SATURDAY)).items
        assert (car.plate is not None, car.plate_id is not None) == (knows, knows)
        told = await shop.client(role).why("recognized_visits", FRIDAY, SATURDAY)
        assert any("bob" in one.told for one in told.contributions) is knows
    noted = [(line.action, line.detail) for line in audit_log(shop.settings).lines()]
    assert noted == [("list", "visit"), ("list", "vehicles")]


async def test_insights_of_a_customer_need_the_permission(shop: PeopleShop) -> None:
    question = DAY | {"customer": BOB}
    reply = await shop.http(Role.VIEWER).get("/v1/insights/visit", params=question)
    await refused(reply, 403, "customers:read")
    found = await shop.client().insights("visit", FRIDAY, SATURDAY, customer=BOB)
    assert [visit.event_id for visit in found.items] == ["v3"]
    [line] = audit_log(shop.settings).lines()
    assert (line.by, line.action) == ("Asha", "show")


@pytest.mark.parametrize(
    ("path", "params", "status", "told"),
    [
        ("/v1/insights/gossip", {}, 404, "no insight is of type gossip"),
        ("/v1/insights/coverage", {"customer": "ann"}, 422, "name no customer"),
        ("/v1/insights/visit", {"cursor": "YR9i"}, 422, "begin without one"),
        ("/v1/insights/visit", {"limit": "0"}, 422, "limit"),
        ("/v1/insights/visit", {"end": "2026-11-27"}, 422, "not after start"),
        ("/v1/why", {"metric": "luck"}, 422, "no metric is called 'luck'"),
        ("/v1/report", {"metric": "luck"}, 422, "no metric is called 'luck'"),
        ("/v1/report", {"period": "range"}, 422, "first and its last day"),
        ("/v1/report", {"first": "2999-01-01"}, 422, "in the future"),
        ("/v1/report", {"period": "month", "first": "0001-01-01"}, 422, "first"),
        ("/v1/report", {"first": "soon"}, 422, "first"),
        ("/v1/figures/changes", {"since": "-1"}, 422, "since"),
    ],
)
async def test_wrong_questions_say_what_is_wrong(
    shop: PeopleShop, path: str, params: dict, status: int, told: str
) -> None:
    await refused(await shop.http().get(path, params=DAY | params), status, told)


async def test_a_figure_is_explained(shop: PeopleShop) -> None:
    told = await shop.client(Role.VIEWER).why("traffic_in", FRIDAY, SATURDAY, "door/main")
    assert (told.figure.value, told.counted, told.is_exact) == (5.0, 5, True)
    assert "staff" in {one.why for one in told.omissions}
    assert [gap.reason for gap in told.gaps] == ["silent"]


async def test_regular_vehicles_and_context(shop: PeopleShop) -> None:
    client = shop.client(Role.OPERATOR)
    [regular] = (await client.regular_vehicles(FRIDAY, SATURDAY, 1)).items
    assert (regular.visits, regular.days) == (3, 1)
    [promotion] = (await client.context(FRIDAY, SATURDAY)).items
    assert (promotion.kind, promotion.text) == ("promotion", SCRIPT)
    with pytest.raises(ApiProblem, match="customers:read"):
        await shop.client(Role.VIEWER).regular_vehicles(FRIDAY, SATURDAY)


async def test_a_report_compares_periods(shop: PeopleShop) -> None:
    report = await shop.client(Role.VIEWER).report("day", FRIDAY, metrics=["traffic_in"])
    assert (report.period.first, report.granularity) == (FRIDAY, "hour")
    [line] = report.lines
    assert (line.figure.value, line.place) == (5.0, "")
    assert [row.label for row in report.rows][:1]
    week = await shop.client(Role.VIEWER).report("week", FRIDAY, compare=["last-week"])
    assert (week.period.first, week.period.last) == (date(2026, 11, 23), date(2026, 11, 29))


async def test_a_report_gives_only_what_was_asked_for_by_time(shop: PeopleShop) -> None:
    client = shop.client(Role.VIEWER)
    whole = await client.report("day", FRIDAY)
    part = await client.report("day", FRIDAY, rows_of=["traffic_in"])
    assert len({row.metric for row in whole.rows}) > 1
    assert part.rows == tuple(row for row in whole.rows if row.metric == "traffic_in")
    assert part.lines == whole.lines
    with pytest.raises(ApiProblem, match="nonsense"):
        await client.report("day", FRIDAY, rows_of=["nonsense"])


@pytest.mark.parametrize("name", get_args(ExportName))
async def test_an_export_is_a_file_with_a_tag_that_follows_its_content(
    shop: PeopleShop, name: ExportName
) -> None:
    shop.clock.at += timedelta(minutes=20)
    http, params = shop.http(Role.VIEWER), {"first": str(FRIDAY), "metric": "traffic_in"}
    reply = await http.get(f"/v1/exports/{name}", params=params)
    assert reply.status_code == 200
    suffix = name.rpartition(".")[2]
    kept = f'attachment; filename="shop-2026-11-27.{suffix}"'
    assert reply.headers["content-disposition"] == kept
    etag = reply.headers["etag"]

    shop.clock.at += timedelta(minutes=20)
    same = await http.get(
        f"/v1/exports/{name}", params=params, headers={"If-None-Match": f'"x", W/{etag}'}
    )
    assert (same.status_code, same.content) == (304, b"")
    await shop.store.record([crossing(7)])
    other = await http.get(f"/v1/exports/{name}", params=params, headers={"If-None-Match": etag})
    assert other.status_code == 200
    assert other.headers["etag"] != etag


async def test_exports_hold_the_figures(shop: PeopleShop) -> None:
    client = shop.client(Role.VIEWER)
    asked = {"first": FRIDAY, "metrics": ["traffic_in"], "granularity": "day"}
    text = (await client.export("figures.csv", **asked)).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["value"] for row in rows if not row["place"]] == ["5"]
    told = json.loads(await client.export("figures.json", **asked))
    assert [row["value"] for row in told if not row["place"]] == [5.0]
    table = pq.read_table(io.BytesIO(await client.export("figures.parquet", **asked)))
    assert table.column("metric").to_pylist() == ["traffic_in"] * len(told)
    book = openpyxl.load_workbook(io.BytesIO(await client.export("report.xlsx", **asked)))
    assert book.sheetnames
    assert (await client.export("report.pdf", **asked)).startswith(b"%PDF")
    assert b"<html" in await client.export("report.html", **asked)


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fetc%2Fpasswd", "figures.csv%2F..%2Fx", "figures.exe", "%2e%2e", "a%00b"]
)
async def test_no_other_name_leads_to_a_file(shop: PeopleShop, name: str) -> None:
    reply = await shop.http().get(f"/v1/exports/{name}")
    assert reply.status_code in {404, 422}
    assert "root:" not in reply.text


async def test_figures_have_a_tag_and_are_not_sent_again(shop: PeopleShop) -> None:
    http = shop.http(Role.VIEWER)
    reply = await http.get("/v1/figures", params=DAY)
    headers = {"If-None-Match": reply.headers["etag"]}
    assert reply.headers["cache-control"] == "private, no-cache"
    assert (await http.get("/v1/figures", params=DAY, headers=headers)).status_code == 304
    await shop.store.record([crossing(8)])
    assert (await http.get("/v1/figures", params=DAY, headers=headers)).status_code == 200


async def test_figures_that_changed_are_read_once(shop: PeopleShop) -> None:
    client = shop.client(Role.VIEWER)
    metrics = ["traffic_in"]
    since, seen = 0, {}
    while (changes := await client.figure_changes(since, metrics=metrics)).items:
        seen |= {(r.metric, r.place, r.start): r.value for r in changes.items}
        since = changes.next_since
    assert seen["traffic_in", "", NOON] == 5.0
    await shop.store.record([crossing(9)])
    changes = await client.figure_changes(since, metrics=metrics)
    assert {r.value for r in changes.items if not r.place} == {6.0}


def test_an_end_without_due_notice_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 180 days"):
        deprecated(date(2027, 1, 1), date(2027, 6, 1), "/v1/new")


async def test_the_end_of_an_endpoint_is_announced_in_its_answers() -> None:
    from fastapi import FastAPI  # noqa: PLC0415

    app = FastAPI()
    since, sunset = date(2027, 1, 1), date(2027, 12, 31)

    @app.get("/old", dependencies=[deprecated(since, sunset, "/v1/new")], deprecated=True)
    async def old() -> str:
        return ""

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://shop"
    ) as http:
        headers = (await http.get("/old")).headers
    assert headers["deprecation"] == "@1798761600"
    assert headers["sunset"] == "Fri, 31 Dec 2027 00:00:00 GMT"
    assert headers["link"] == '</v1/new>; rel="successor-version"'
