"""``/v1/figures``, ``/v1/metrics`` and ``/v1/site``, by the typed client, and the page of a day."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.flows.api_shop import FRIDAY, NOON, SATURDAY
from tests.web.shop import Stage, open_shop

from trinetra.client import ApiProblem, AsyncClient, NotAuthorized
from trinetra.web.access import Role


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_shop(tmp_path) as stage:
        yield stage


def typed(shop: Stage, role: Role | None = Role.VIEWER) -> AsyncClient:
    shop.signed_in.role = role
    return AsyncClient("http://shop", transport=httpx.ASGITransport(app=shop.app))


async def test_a_day_is_told_with_its_completeness(shop: Stage) -> None:
    async with typed(shop) as client:
        answer = await client.figures("traffic_in", FRIDAY, SATURDAY)
    [figure] = answer.of("traffic_in")
    assert (figure.value, figure.completeness) == (5.0, 0.25)


async def test_dates_and_instants_ask_for_the_same_span(shop: Stage) -> None:
    async with typed(shop) as client:
        day = await client.figures([], FRIDAY, SATURDAY, granularity="hour")
        same = await client.figures([], day.start, day.end, granularity="hour")
    assert day == same


async def test_hours_that_were_not_watched_are_unknown_and_not_zero(shop: Stage) -> None:
    async with typed(shop) as client:
        begin = NOON + timedelta(hours=2)
        answer = await client.figures(
            "traffic_in", begin, begin + timedelta(hours=1), granularity="hour"
        )
    assert [figure.value for figure in answer.figures] == [None]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"start": "yesterday", "end": "2026-11-28"}, "neither a date"),
        ({"start": "2026-11-28", "end": "2026-11-28"}, "exclusive"),
        ({"start": "2026-11-27T10:00:00", "end": "2026-11-28"}, "offset"),
        ({"start": "2026-11-27", "end": "2026-11-28", "metric": "nonsense"}, "nonsense"),
        ({"start": "2026-11-27", "end": "2026-11-28", "granularity": "second"}, "granularity"),
        ({"start": "2001-01-01", "end": "2026-11-28", "granularity": "minute"}, "at most"),
        ({"start": "2026-11-27"}, "end"),
    ],
)
async def test_a_question_without_an_answer_is_a_problem_that_says_why(
    shop: Stage, params: dict, complaint: str
) -> None:
    reply = await shop.client(Role.VIEWER).get("/v1/figures", params=params)
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert complaint in reply.json()["detail"]


async def test_without_a_login_there_is_no_answer(shop: Stage) -> None:
    async with typed(shop, None) as client:
        with pytest.raises(NotAuthorized, match="log in"):
            await client.site()


async def test_the_client_raises_the_problem_with_its_request(shop: Stage) -> None:
    async with typed(shop) as client:
        with pytest.raises(ApiProblem, match=r"nonsense.*request"):
            await client.figures("nonsense", FRIDAY, SATURDAY)


async def test_the_site_tells_no_address_of_a_camera(shop: Stage) -> None:
    reply = await shop.client(Role.VIEWER).get("/v1/site")
    assert reply.json()["cameras"][0]["lines"][0]["id"] == "main"
    assert "door.mp4" not in reply.text


async def test_today_shows_the_figures_and_the_day_before_nothing(shop: Stage) -> None:
    client = shop.client(Role.VIEWER)
    today = (await client.get("/")).text
    assert "People who came in" in today
    assert "25%" in today
    before = (await client.get("/", params={"day": "2026-11-26"})).text
    assert "Nothing was counted on this day" in before


async def test_every_answer_forbids_inline_scripts(shop: Stage) -> None:
    for path in ("/", "/v1/site", "/static/app.css", "/v1/nothing"):
        policy = (await shop.client().get(path)).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


async def test_pages_speak_the_language_that_the_browser_asks_for(shop: Stage) -> None:
    page = await shop.client().get("/", headers={"accept-language": "hi-IN,hi;q=0.9"})
    assert 'lang="hi"' in page.text
