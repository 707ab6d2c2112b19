"""Contract of pages of insights: put together they are what is on record, whatever is filtered."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.unit.insights.any_insight import ANN, BOB, NIGHT, insight

from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.adapters.sql.schema import TYPE_OF_KIND
from trinetra.events.customers import Customer, CustomerDirectory
from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.ports import InsightQuery
from trinetra.values import CameraId, IdentityKind

SPAN = Span(NIGHT + timedelta(hours=1), NIGHT + timedelta(hours=7))


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlInsightStore]:
    is_server = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if is_server else "sqlite://"
    async with SqlInsightStore.open(url, ROLLUP_RULES) as store:
        await store.prepare_figures(ZoneInfo("Europe/Berlin"), {}, NIGHT)
        rng = random.Random(7)
        await store.record([insight(rng) for _ in range(600)])
        yield store


async def pages(store: SqlInsightStore, query: InsightQuery) -> list[InsightEvent]:
    found: list[InsightEvent] = []
    while page := await store.page(query):
        assert len(page) <= query.most
        found += page
        query = query._replace(after=(page[-1].captured_at, page[-1].event_id))
    return found


@pytest.mark.parametrize("most", [1, 3, 1000])
async def test_pages_put_together_are_the_insights_of_the_span(
    store: SqlInsightStore, most: int
) -> None:
    for kind in TYPE_OF_KIND:
        found = await pages(store, InsightQuery(kind, SPAN, most))
        ids = [insight.event_id for insight in found]
        assert ids == [insight.event_id for insight in await store.fetch(kind, *SPAN)]
    assert len(ids) == len(set(ids))


async def test_insights_of_one_instant_are_divided_by_their_ids(store: SqlInsightStore) -> None:
    rng = random.Random(1)
    at = {"captured_at": SPAN.start}
    stays = [i for i in (insight(rng) for _ in range(400)) if type(i) is TYPE_OF_KIND["zone_stay"]]
    await store.record(
        [type(i)(**{f: getattr(i, f) for f in i.__struct_fields__} | at) for i in stays]
    )
    one = await pages(store, InsightQuery("zone_stay", SPAN, 1))
    assert [i.event_id for i in one] == [i.event_id for i in await store.fetch("zone_stay", *SPAN)]


async def test_filters_by_camera_and_by_person_under_all_ids(store: SqlInsightStore) -> None:
    people = CustomerDirectory(number=5, merged={BOB: ANN})
    people.customers[ANN] = Customer(ANN, IdentityKind.VIP, "Ann", True, None, NIGHT)
    every = await store.fetch("line_crossing", *SPAN)
    await store.know(people)
    query = InsightQuery("line_crossing", SPAN, 5)
    camera = await pages(store, query._replace(camera_id=CameraId("cam1")))
    person = await pages(store, query._replace(customer_id=ANN))

    assert {i.event_id for i in camera} == {i.event_id for i in every if i.camera_id == "cam1"}
    assert {i.event_id for i in person} == {
        i.event_id for i in every if getattr(i, "customer_id", None) in {ANN, BOB}
    }
    assert {(i.customer_id, i.kind) for i in person} == {(ANN, IdentityKind.VIP)}
    assert camera
    assert person


async def test_wrong_questions_are_refused(store: SqlInsightStore) -> None:
    with pytest.raises(ValueError, match="no kind of insight"):
        await store.page(InsightQuery("gossip", SPAN, 5))
    with pytest.raises(ValueError, match="names no customer"):
        await store.page(InsightQuery("coverage", SPAN, 5, customer_id=ANN))
