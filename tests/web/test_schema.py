"""The whole API against its own description: generated requests, from an admin and from nobody."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
import requests
import schemathesis
from fastapi import Request
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.web.people_shop import ANN, BOB, PeopleShop, open_people_shop

from trinetra.client.models import SiteInfo
from trinetra.hosting import serving
from trinetra.web.access import PERMISSIONS, Principal, Role
from trinetra.web.app import inner_app
from trinetra.web.backend import Backend

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PATIENCE_S = 300.0
"""With a loaded machine: the search for cameras waits for answers; no limit is tested."""
ADMIN = {"Authorization": "Bearer admin"}


class ByToken:
    """Takes a token for the name of a role."""

    async def authenticate(self, request: Request) -> Principal | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in set(Role):
            return None
        return Principal("Asha", Role(token), PERMISSIONS[Role(token)])


async def fill(shop: PeopleShop) -> None:
    shop.inner.state.authenticator = ByToken()  # type: ignore[attr-defined]
    await shop.know(ANN, "Ann")
    await shop.propose(ANN, BOB)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    stop, started, at = asyncio.Event(), Event(), []
    loop, folder = asyncio.new_event_loop(), tmp_path_factory.mktemp("shop")

    async def serve(folder: Path) -> None:
        async with open_people_shop(folder) as shop:
            await fill(shop)
            async with serving(shop.inner, address="127.0.0.1", port=0) as port:
                at.append(f"http://127.0.0.1:{port}")
                started.set()
                await stop.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve(folder)))
    thread.start()
    started.wait()
    try:
        yield at[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


DESCRIPTION = inner_app(Backend(SiteInfo, None), ByToken()).openapi()  # type: ignore[arg-type]
schema = schemathesis.openapi.from_dict(DESCRIPTION)
GENERATED = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # the hundreds of examples of Phase.explicit take minutes
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@GENERATED
def test_every_answer_to_an_admin_is_as_described(
    case: schemathesis.Case, address: str, session: requests.Session
) -> None:
    case.call_and_validate(address, session, headers=ADMIN, checks=CHECKS, timeout=PATIENCE_S)


@schema.parametrize()
@settings(GENERATED, max_examples=2)
def test_nobody_gets_an_answer(
    case: schemathesis.Case, address: str, session: requests.Session
) -> None:
    reply = case.call(address, session, timeout=PATIENCE_S)
    # A body that is no JSON is refused (400) before anybody asks who sent it.
    assert reply.status_code in {400, 401, 404, 405}, (reply.status_code, reply.text)
    if reply.status_code == 401:
        assert reply.headers["www-authenticate"] == ["Bearer"]


def test_every_route_of_the_api_is_described() -> None:
    assert len(DESCRIPTION["paths"]) >= 29
    assert {"/v1/customers/search", "/v1/exports/{name}"} <= set(DESCRIPTION["paths"])
