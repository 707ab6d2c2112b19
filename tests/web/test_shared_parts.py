"""Parts that pages fetch again and again are made once for all who see the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.web.people_shop import PeopleShop, open_people_shop

from trinetra.events.figures import FigureTable
from trinetra.web.access import Role
from trinetra.web.backend import FigureQuestion
from trinetra.web.pages.shared_parts import SharedParts
from trinetra.wiring.web import StoredFigures

PART = "/today/figures"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[PeopleShop]:
    async with open_people_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[FigureQuestion]:
    """Return the questions about figures that are asked from now on."""
    asked: list[FigureQuestion] = []
    read = StoredFigures.read

    async def noted(self: StoredFigures, question: FigureQuestion) -> FigureTable:
        asked.append(question)
        return await read(self, question)

    monkeypatch.setattr(StoredFigures, "read", noted)
    return asked


async def test_viewers_of_the_same_get_what_was_made_once(
    shop: PeopleShop, questions: list[FigureQuestion]
) -> None:
    async with shop.http(Role.VIEWER) as http:
        replies = await asyncio.gather(*(http.get(PART) for _ in range(20)))
    made_once = len(questions)
    assert {(reply.status_code, reply.text) for reply in replies} == {(200, replies[0].text)}
    assert len({(q.span, q.granularity) for q in questions}) == made_once


async def test_who_may_see_something_else_or_speaks_another_language_gets_a_part_of_their_own(
    shop: PeopleShop,
) -> None:
    english = (await shop.http(Role.VIEWER).get(PART)).text
    hindi = (await shop.http(Role.VIEWER).get(PART, headers={"Accept-Language": "hi"})).text
    assert ("People in the shop now" in english, "People in the shop now" in hindi) == (True, False)
    shop.signed_in.role = None
    assert (await shop.http(None).get(PART)).status_code in {303, 401}


async def test_after_some_seconds_it_is_made_anew(
    shop: PeopleShop, questions: list[FigureQuestion]
) -> None:
    now_s = [0.0]
    shop.inner.state.shared_parts = SharedParts(lambda: now_s[0])
    counts = []
    for now_s[0] in (0.0, 2.9, 3.0):
        assert (await shop.http(Role.VIEWER).get(PART)).status_code == 200
        counts.append(len(questions))
    assert counts[0] == counts[1] == counts[2] / 2
