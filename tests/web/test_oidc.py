"""Single sign-on against a real OpenID provider, reached by the server and by a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from tests.flows.api_shop import NOON
from tests.web.oidc_provider import CLIENT, ISSUER, SECRET, OpenIdProvider
from tests.web.security_shop import Browser, Shop, open_web

from trinetra.web.access import Role
from trinetra.web.security.oidc import Provider, by_group

ASHA = {"sub": "1", "preferred_username": "asha", "groups": ["managers"]}


@dataclass
class Stage:
    """A shop with single sign-on, and the provider with its transport."""

    shop: Shop
    provider: OpenIdProvider
    transport: httpx.ASGITransport

    async def to_provider(self, browser: Browser, next_page: str = "/") -> str:
        """Return the address at the provider to which a browser is sent."""
        away = await browser.get(f"/login/oidc?{urlencode({'next': next_page})}")
        assert away.status_code == 303, away.text
        return str(away.headers["location"])

    async def back(self, address: str) -> str:
        """Return the address to which the provider sends the browser back."""
        async with httpx.AsyncClient(transport=self.transport) as client:
            answer = await client.get(address)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def log_in(self, browser: Browser, next_page: str = "/") -> httpx.Response:
        return await browser.get(await self.back(await self.to_provider(browser, next_page)))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock: list[Any] = []
    provider = OpenIdProvider(lambda: clock[0].now().timestamp(), user=ASHA)
    transport = httpx.ASGITransport(app=provider.app())
    here = Provider(
        ISSUER,
        CLIENT,
        SECRET,
        {"managers": Role.OPERATOR, "it": Role.ADMIN},
        {},
    )
    async with open_web(tmp_path, provider=here, transport=transport) as shop:
        clock.append(shop.clock)
        yield Stage(shop, provider, transport)


async def test_a_user_of_the_provider_logs_in_with_the_role_of_the_group(stage: Stage) -> None:
    browser = stage.shop.browser()

    answer = await stage.log_in(browser, "/alerts")

    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    session = (await browser.http.get("/v1/session")).json()
    assert (session["name"], session["role"]) == ("asha", "operator")
    [user] = await stage.shop.security.accounts.users()
    assert (user.subject, user.password_hash) == (f"{ISSUER}#1", None)


async def test_the_request_to_the_provider_has_state_nonce_and_a_challenge(stage: Stage) -> None:
    asked = parse_qs(urlsplit(await stage.to_provider(stage.shop.browser())).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert asked["redirect_uri"] == ["http://shop/login/oidc/callback"]
    assert SECRET not in str(asked)


async def test_groups_are_read_at_every_login(stage: Stage) -> None:
    await stage.log_in(stage.shop.browser())

    stage.provider.user = ASHA | {"groups": ["managers", "it"], "preferred_username": "renamed"}
    await stage.log_in(stage.shop.browser())

    [user] = await stage.shop.security.accounts.users()
    assert (user.name, user.role) == ("asha", "admin")


@pytest.mark.parametrize("groups", [[], ["others"], None, "other"])
async def test_a_user_without_a_group_that_has_a_role_is_refused(
    stage: Stage, groups: object
) -> None:
    stage.provider.user = ASHA | ({"groups": groups} if groups is not None else {"groups": []})

    answer = await stage.log_in(stage.shop.browser())

    assert answer.status_code == 401
    assert "in no group" in answer.text
    assert await stage.shop.security.accounts.users() == []


async def test_a_user_of_the_provider_does_not_take_over_one_of_the_same_name(
    stage: Stage,
) -> None:
    local = await stage.shop.user("asha", Role.ADMIN)
    browser = stage.shop.browser()

    await stage.log_in(browser)

    session = (await browser.http.get("/v1/session")).json()
    assert session["name"].startswith("asha-")
    assert session["role"] == "operator"
    assert await stage.shop.security.accounts.named("asha") == local


async def test_a_disabled_user_is_refused(stage: Stage) -> None:
    await stage.shop.user("admin")
    await stage.log_in(stage.shop.browser())
    accounts = stage.shop.security.accounts
    await accounts.change(await accounts.named("asha"), is_disabled=True)

    assert (await stage.log_in(stage.shop.browser())).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": int(NOON.timestamp()) - 61},
        {"exp": None},
        {"nbf": int(NOON.timestamp()) + 3600},
        {"sub": None},
        {"at_hash": "wrong"},
    ],
)
async def test_an_id_token_with_a_wrong_claim_is_refused(
    stage: Stage, claims: dict[str, object]
) -> None:
    stage.provider.claims = claims

    answer = await stage.log_in(stage.shop.browser())

    assert answer.status_code == 401
    assert await stage.shop.security.accounts.users() == []


async def test_an_id_token_with_the_signature_of_another_key_is_refused(stage: Stage) -> None:
    stage.provider.signing = RSAKey.generate_key(2048, {"kid": "one"})

    assert (await stage.log_in(stage.shop.browser())).status_code == 401


async def test_new_keys_of_the_provider_are_fetched_when_a_signature_needs_them(
    stage: Stage,
) -> None:
    await stage.log_in(stage.shop.browser())
    stage.provider.published = RSAKey.generate_key(2048, {"kid": "one"})
    stage.shop.clock.advance(61)

    assert (await stage.log_in(stage.shop.browser())).status_code == 303


@pytest.mark.parametrize("wrong", ["state", "code"])
async def test_a_wrong_state_or_code_is_refused(stage: Stage, wrong: str) -> None:
    browser = stage.shop.browser()
    address = urlsplit(await stage.back(await stage.to_provider(browser)))
    query = {name: value[0] for name, value in parse_qs(address.query).items()} | {wrong: "x"}

    answer = await browser.get(f"{address.path}?{urlencode(query)}")

    assert answer.status_code == 401


async def test_the_way_back_works_once(stage: Stage) -> None:
    browser = stage.shop.browser()
    address = await stage.back(await stage.to_provider(browser))

    assert (await browser.get(address)).status_code == 303
    assert (await browser.get(address)).status_code == 401


async def test_the_way_back_works_in_the_browser_that_began_alone(stage: Stage) -> None:
    address = await stage.back(await stage.to_provider(stage.shop.browser()))
    other = stage.shop.browser()
    await stage.to_provider(other)  # which gives it a cookie of its own

    assert (await other.get(address)).status_code == 401
    assert (await stage.shop.browser().get(address)).status_code == 401


async def test_the_way_back_expires(stage: Stage) -> None:
    browser = stage.shop.browser()
    address = await stage.back(await stage.to_provider(browser))
    stage.shop.clock.advance(600)

    assert (await browser.get(address)).status_code == 401


async def test_an_error_of_the_provider_is_told_without_repeating_its_text(stage: Stage) -> None:
    answer = await stage.shop.browser().get("/login/oidc/callback?error=<b>x</b>&state=s")

    assert answer.status_code == 401
    assert "<b>x" not in answer.text


async def test_the_way_back_never_leads_to_another_server(stage: Stage) -> None:
    answer = await stage.log_in(stage.shop.browser(), "//evil.example/")
    assert answer.headers["location"] == "/"


async def test_without_single_sign_on_there_is_no_such_page(tmp_path: Path) -> None:
    async with open_web(tmp_path) as shop:
        assert (await shop.browser().get("/login/oidc")).status_code == 404


def test_groups_are_pairs() -> None:
    assert by_group("g=admin, h = viewer") == [("g", "admin"), ("h", "viewer")]
    with pytest.raises(ValueError, match="GROUP=VALUE"):
        by_group("admin")
