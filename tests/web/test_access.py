"""Every route of the web, tried as every role, as nobody, and with credentials that are no good."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.routing import iter_route_contexts
from tests.web.security_shop import Browser, Shop, open_web

from trinetra.web.access import PERMISSIONS, PUBLIC, Permission, Role, permissions_of
from trinetra.web.app import inner_app

PUBLIC_ROUTES = {
    "GET /login",
    "POST /login",
    "GET /login/link",
    "POST /login/link",
    "GET /login/oidc",
    "GET /login/oidc/callback",
    "GET /welcome",
    "POST /welcome",
    "GET /v1/openapi.json",
}
"""What nobody needs to log in for; a new entry must be argued for in docs/security.md."""
DENIED = {401, 403}


class Endpoint(NamedTuple):
    """A route: method, path, and the permissions that it requires; None if it is public."""

    method: str
    path: str
    needs: tuple[Permission, ...] | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def all_dependencies(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each
        yield from all_dependencies(each)


def endpoints() -> list[Endpoint]:
    found = []
    app = inner_app(None, None)  # type: ignore[arg-type]  only its routes are looked at
    for context in iter_route_contexts(app.routes):
        if context.path == "/static":
            continue
        dependant = getattr(context, "dependant", None)
        needs = None
        if dependant is not None:
            lists = [permissions_of([each]) for each in all_dependencies(dependant)]
            given = [each for each in lists if each is not None]
            needs = tuple({p for each in given for p in each}) if given else None
        methods = sorted((context.methods or set()) - {"HEAD"})
        found += [Endpoint(method, str(context.path), needs) for method in methods]
    return found


ALL = endpoints()
GUARDED = [each for each in ALL if each.needs is not None]
PARAMETERS = {"user_id": "0" * 16, "token_id": "0" * 16}


def address(endpoint: Endpoint) -> str:
    parts = endpoint.path.split("/")
    return "/".join(PARAMETERS.get(part[1:-1], "x") if part[:1] == "{" else part for part in parts)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_web(tmp_path) as shop:
        yield shop


async def tried(shop: Shop, browser: Browser, endpoint: Endpoint, **headers: str) -> int:
    asked = browser.http.request(endpoint.method, address(endpoint), headers=headers)
    answer = asyncio.ensure_future(asked)
    while not answer.done():  # time goes on, for limits of requests and for a search of cameras
        shop.clock.advance(0.05)
        await asyncio.sleep(0)
    return answer.result().status_code


def test_every_route_requires_a_permission_or_is_one_of_the_few_public_ones() -> None:
    assert len(ALL) > 20
    assert {each.name for each in ALL if each.needs is None} == PUBLIC_ROUTES


def test_the_public_routes_are_marked_as_such() -> None:
    app = inner_app(None, None)  # type: ignore[arg-type]
    marked = {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in (context.methods or set()) - {"HEAD"}
        if getattr(context.endpoint, PUBLIC, False)
    }
    assert marked == PUBLIC_ROUTES - {"GET /v1/openapi.json"}


async def test_nobody_gets_into_any_route(shop: Shop) -> None:
    browser = shop.browser()
    answers = {each.name: await tried(shop, browser, each) for each in GUARDED}
    assert answers == dict.fromkeys(answers, 401)


@pytest.mark.parametrize("given", ["tri_wrong", "local.1.wrong", "", "a b"])
async def test_a_wrong_token_gets_into_no_route(shop: Shop, given: str) -> None:
    browser = shop.browser()
    for each in GUARDED:
        assert await tried(shop, browser, each, Authorization=f"Bearer {given}") == 401, each.name


async def test_an_expired_session_gets_into_no_route(shop: Shop) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    token = await browser.csrf()
    shop.clock.advance(timedelta(hours=8).total_seconds())
    for each in GUARDED:
        assert await tried(shop, browser, each, **{"X-CSRF-Token": token}) == 401, each.name


@pytest.mark.parametrize("role", Role)
async def test_a_role_gets_into_the_routes_of_its_permissions_alone(shop: Shop, role: Role) -> None:
    wrong: dict[str, Any] = {}
    browser = await shop.logged_in(role)
    token = await browser.csrf()
    for each in GUARDED:
        if (await browser.http.get("/v1/session")).is_error:  # the route before has ended it
            await browser.log_in(role.value)
            token = await browser.csrf()
        headers = {"X-CSRF-Token": token}
        may = set(each.needs or ()) <= PERMISSIONS[role]
        status = await tried(shop, browser, each, **headers)
        if (status in DENIED) is may or status >= 500:
            wrong[each.name] = (status, may)
    assert wrong == {}


async def test_a_token_gets_into_no_route_whose_scope_it_lacks(shop: Shop) -> None:
    user, browser = await shop.user("ann", Role.ADMIN), shop.browser()
    for scope in Permission:
        token, _ = await shop.security.tokens.create(user, "t", set(Permission) - {scope}, 1)
        for each in GUARDED:
            if scope in (each.needs or ()):
                given = {"Authorization": f"Bearer {token}"}
                assert await tried(shop, browser, each, **given) == 403, (each.name, scope)
