"""Login, sessions, forms of other web sites, one-time links, and limits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.web.security_shop import LOCAL, PASSWORD, TILL, Shop, csrf_in, open_web

from trinetra.events.accounts import secret_digest
from trinetra.web.access import Permission, Role
from trinetra.web.security.local_secret import local_token
from trinetra.web.security.sessions import SESSION

HOURS = 3600.0


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_web(tmp_path) as shop:
        yield shop


async def test_the_first_user_is_created_by_the_link_once(shop: Shop) -> None:
    secret = await shop.security.accounts.first_user_link()
    form = {"key": secret, "name": "Ann", "password": PASSWORD, "again": PASSWORD}
    browser = shop.browser()

    page = await browser.get(f"/welcome?key={secret}")
    created = await browser.post("/welcome", form)
    today = await browser.get("/")
    again = await shop.browser().post("/welcome", form | {"name": "bob"})

    assert page.status_code == 200
    assert (created.status_code, created.headers["location"]) == (303, "/")
    assert "ann" in today.text
    assert again.status_code == 401
    assert [u.role for u in await shop.security.accounts.users()] == ["admin"]
    assert await shop.security.accounts.first_user_link() is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"again": "another password"}, 422),
        ({"password": "short", "again": "short"}, 422),
        ({"name": "<script>"}, 422),
        ({"password": "ann ann ann ann", "again": "ann ann ann ann"}, 422),
        ({"key": "wrong"}, 401),
    ],
)
async def test_a_mistake_at_the_first_user_does_not_use_up_the_link(
    shop: Shop, change: dict[str, str], status: int
) -> None:
    secret = await shop.security.accounts.first_user_link()
    form = {"key": str(secret), "name": "ann", "password": PASSWORD, "again": PASSWORD}

    failed = await shop.browser().post("/welcome", form | change)

    assert failed.status_code == status
    assert "<script>" not in failed.text
    assert (await shop.browser().post("/welcome", form)).status_code == 303


async def test_the_link_of_the_first_user_expires_and_a_new_one_replaces_it(shop: Shop) -> None:
    accounts = shop.security.accounts
    old, new = str(await accounts.first_user_link()), str(await accounts.first_user_link())

    assert not await accounts.has_first_user_link(old)
    assert await accounts.has_first_user_link(new)
    shop.clock.advance(24 * HOURS)
    assert not await accounts.has_first_user_link(new)


async def test_secrets_are_stored_as_digests_alone(shop: Shop) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    token = (
        await browser.json("POST", "/v1/tokens", {"name": "t", "scopes": ["figures:read"]})
    ).json()["token"]
    link = str(await shop.security.accounts.login_link(await shop.security.accounts.named("admin")))

    stored = b"".join(path.read_bytes() for path in shop.folder.glob("insights.db*"))

    for secret in (browser.session_id or "", token, link, PASSWORD):
        assert secret.encode() not in stored
    assert secret_digest(browser.session_id or "").encode() in stored
    assert b"$argon2id$" in stored


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD)])
async def test_a_failed_login_does_not_tell_whether_there_is_such_a_user(
    shop: Shop, name: str, password: str
) -> None:
    await shop.user("ann")

    answer = await shop.browser().log_in(name, password)

    assert answer.status_code == 401
    assert "the name or the password is wrong" in answer.text
    assert SESSION not in answer.headers.get("set-cookie", "")


async def test_a_session_is_new_at_every_login_whatever_the_browser_had(shop: Shop) -> None:
    await shop.user("ann")
    browser = shop.browser()
    browser.http.cookies.set(SESSION, "fixed-by-another", domain="shop.local")

    await browser.log_in("ann")
    first = browser.session_id
    await browser.log_in("ann")

    assert first not in {None, "fixed-by-another"}
    assert browser.session_id != first
    assert await shop.stores.sessions.find(secret_digest(str(first))) is None


async def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_sites(
    shop: Shop,
) -> None:
    await shop.user("ann")

    plain = await shop.browser().log_in("ann")
    tls = await shop.browser(base_url="https://shop").log_in("ann")

    cookie = plain.headers.get_list("set-cookie")[0].lower()
    assert cookie.startswith(f"{SESSION}=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(cookie.split("; "))
    secure = tls.headers.get_list("set-cookie")[0].lower()
    assert secure.startswith(f"__host-{SESSION}=")
    assert {"secure", "httponly", "path=/"} <= set(secure.split("; "))
    assert "domain" not in secure


async def test_under_tls_a_cookie_that_another_host_could_set_is_ignored(shop: Shop) -> None:
    plain = await shop.logged_in(Role.ADMIN)
    browser = shop.browser(base_url="https://shop")
    browser.http.cookies.set(SESSION, str(plain.session_id))

    assert (await browser.http.get("/v1/session")).status_code == 401


async def test_a_session_ends_when_idle_and_at_its_latest_after_a_week(shop: Shop) -> None:
    idle, busy = await shop.logged_in(Role.VIEWER), await shop.logged_in(Role.OPERATOR)

    for _ in range(7 * 24 // 7 - 1):
        shop.clock.advance(7 * HOURS)
        assert (await busy.http.get("/v1/session")).status_code == 200
    shop.clock.advance(7 * HOURS)

    assert (await busy.http.get("/v1/session")).status_code == 401
    assert (await idle.http.get("/v1/session")).status_code == 401


async def test_logout_ends_the_session_on_the_server(shop: Shop) -> None:
    browser = await shop.logged_in(Role.VIEWER)
    cookie = browser.session_id

    answer = await browser.post("/logout", {"csrf_token": await browser.csrf()})
    browser.http.cookies.set(SESSION, str(cookie))

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await browser.http.get("/v1/session")).status_code == 401


@pytest.mark.parametrize(
    "change", [{"role": "viewer"}, {"is_disabled": True}, {"sites": ["other"]}]
)
async def test_a_change_of_rights_ends_the_sessions(shop: Shop, change: dict[str, object]) -> None:
    admin, other = await shop.logged_in(Role.ADMIN), await shop.logged_in(Role.OPERATOR)
    user = await shop.security.accounts.named("operator")

    answer = await admin.json("PATCH", f"/v1/users/{user.user_id}", change)

    assert answer.status_code == 200
    assert (await other.http.get("/v1/session")).status_code == 401


async def test_a_new_password_ends_all_other_sessions_and_goes_on_with_a_new_one(
    shop: Shop,
) -> None:
    here = await shop.logged_in(Role.VIEWER)
    there = shop.browser()
    await there.log_in("viewer")
    new = "quite another password"
    form = {"current": PASSWORD, "password": new, "again": new, "csrf_token": await here.csrf()}

    wrong = await here.post("/account/password", form | {"current": "wrong"})
    right = await here.post("/account/password", form)

    assert (wrong.status_code, right.status_code) == (422, 303)
    assert (await here.http.get("/v1/session")).status_code == 200
    assert (await there.http.get("/v1/session")).status_code == 401
    assert (await shop.browser().log_in("viewer")).status_code == 401
    assert (await shop.browser().log_in("viewer", new)).status_code == 303


async def test_the_last_administrator_cannot_be_disabled(shop: Shop) -> None:
    admin = await shop.logged_in(Role.ADMIN)
    user = await shop.security.accounts.named("admin")

    answer = await admin.json("PATCH", f"/v1/users/{user.user_id}", {"is_disabled": True})

    assert answer.status_code == 409
    assert "last administrator" in answer.json()["detail"]


async def test_a_user_of_another_site_cannot_log_in(shop: Shop) -> None:
    await shop.user("ann", Role.ADMIN, sites=("elsewhere",))

    assert (await shop.browser().log_in("ann")).status_code == 403


# --- forms of other web sites ------------------------------------------------------------------

_OWN = "http://shop"


@pytest.mark.parametrize(
    ("headers", "with_token", "status"),
    [
        ({"Origin": _OWN}, True, 303),
        ({}, True, 303),
        ({"Origin": _OWN, "Sec-Fetch-Site": "same-origin"}, True, 303),
        ({"Origin": _OWN}, False, 403),
        ({}, False, 403),
        ({"Origin": "http://evil.example"}, True, 403),
        ({"Origin": "null"}, True, 403),
        ({"Origin": "http://shop.evil.example"}, True, 403),
        ({"Origin": "http://shop:81"}, True, 403),
        ({"Sec-Fetch-Site": "cross-site"}, True, 403),
        ({"Sec-Fetch-Site": "same-site"}, True, 403),
    ],
)
async def test_a_change_by_a_session_needs_its_token_and_our_own_page(
    shop: Shop, headers: dict[str, str], with_token: bool, status: int
) -> None:
    browser = await shop.logged_in(Role.VIEWER)
    form = {"theme": "dark"} | ({"csrf_token": await browser.csrf()} if with_token else {})

    answer = await browser.http.post("/preferences", data=form, headers=headers)

    assert answer.status_code == status


async def test_the_token_of_another_session_is_refused(shop: Shop) -> None:
    one, two = await shop.logged_in(Role.VIEWER), await shop.logged_in(Role.OPERATOR)
    form = {"theme": "dark", "csrf_token": await two.csrf()}

    assert (await one.post("/preferences", form)).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_the_api_checks_the_header_of_every_change_by_a_session(
    shop: Shop, method: str
) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    paths = {"POST": "/v1/users", "PUT": "/v1/session/password"}
    path = paths.get(method, f"/v1/users/{'0' * 16}")
    path = f"/v1/tokens/{'0' * 16}" if method == "DELETE" else path

    without = await browser.http.request(method, path, json={})
    wrong = await browser.http.request(method, path, json={}, headers={"X-CSRF-Token": b"\xe9"})
    right = await browser.json(method, path, {})

    assert (without.status_code, wrong.status_code) == (403, 403)
    assert right.status_code in {200, 404, 422}


async def test_another_site_can_neither_log_a_visitor_in_nor_create_the_first_user(
    shop: Shop,
) -> None:
    secret = await shop.security.accounts.first_user_link()
    await shop.user("ann")
    foreign = {"Origin": "http://evil.example"}
    login = {"name": "ann", "password": PASSWORD}
    first = {"key": str(secret), "name": "eve", "password": PASSWORD, "again": PASSWORD}

    answers = [
        await shop.browser().post("/login", login, foreign),
        await shop.browser().post("/welcome", first, foreign),
        await shop.browser().post("/login/link", {"key": "k"}, foreign),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]


async def test_requests_with_a_token_need_no_form_token(shop: Shop) -> None:
    user = await shop.user("ann", Role.ADMIN)
    token, _ = await shop.security.tokens.create(user, "t", {Permission.MANAGE_USERS}, 1)

    answer = await shop.browser().http.post(
        "/v1/users",
        json={"name": "bob", "role": "viewer"},
        headers={"Authorization": f"Bearer {token}", "Origin": "http://evil.example"},
    )

    assert answer.status_code == 201


# --- expired sessions and the way back ---------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/", "/login"),
        ("/alerts", "/login?next=%2Falerts"),
        ("/trail?cursor=5", "/login?next=%2Ftrail%3Fcursor%3D5"),
    ],
)
async def test_a_page_without_a_session_leads_to_the_login_and_back(
    shop: Shop, path: str, to: str
) -> None:
    await shop.user("ann")
    browser = shop.browser()

    away = await browser.get(path)
    login = await browser.get(away.headers["location"])
    back = await browser.log_in("ann", next_page=path)

    assert (away.status_code, away.headers["location"]) == (303, to)
    assert "<script" not in login.text
    assert back.headers["location"] == path


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/%0d%0aSet-Cookie:a=b\r\nx",
        "",
        "/login?next=/login",
        "/v1/users",
        "evil.example",
        "///evil.example",
    ],
)
async def test_no_link_leads_from_the_login_to_another_server(shop: Shop, given: str) -> None:
    await shop.user("ann")
    browser = shop.browser()

    answer = await browser.log_in("ann", next_page=given)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_htmx_is_led_to_the_login_of_the_page_that_it_is_on(shop: Shop) -> None:
    answer = await shop.browser().get(
        "/alerts", HX_Request="true", HX_Current_URL="http://shop/alerts?state=open"
    )

    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/login?next=%2Falerts%3Fstate%3Dopen"


async def test_a_form_that_was_open_when_the_session_expired_can_be_sent_after_a_login(
    shop: Shop,
) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    token = csrf_in((await browser.get("/users")).text)
    form = {"csrf_token": token, "name": "Bob & <b>", "role": "viewer", "password": ""}
    shop.clock.advance(9 * HOURS)

    over = await browser.post("/users", form)
    await browser.log_in("admin")
    again = await browser.post("/users", form | {"name": "bob"})

    assert over.status_code == 401
    assert "nothing is lost" in over.text
    assert 'name="name" value="Bob &amp; &lt;b&gt;"' in over.text
    assert f'name="csrf_token" value="{token}"' in over.text
    assert again.status_code == 303
    assert "bob" in [u.name for u in await shop.security.accounts.users()]


async def test_a_password_of_a_form_is_not_sent_back(shop: Shop) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    form = {"csrf_token": await browser.csrf(), "name": "bob", "password": "not to be shown"}
    shop.clock.advance(9 * HOURS)

    over = await browser.post("/users", form)

    assert over.status_code == 401
    assert "not to be shown" not in over.text
    assert "go back to the form" in over.text


async def test_the_form_of_one_user_is_not_accepted_after_the_login_of_another(shop: Shop) -> None:
    browser = await shop.logged_in(Role.ADMIN)
    await shop.user("eve", Role.ADMIN)
    old = await browser.csrf()
    shop.clock.advance(9 * HOURS)

    await browser.log_in("eve")
    answer = await browser.post("/preferences", {"theme": "dark", "csrf_token": old})

    assert answer.status_code == 403


async def test_failures_of_pages_are_pages_and_those_of_the_api_documents(shop: Shop) -> None:
    viewer = await shop.logged_in(Role.VIEWER)

    forbidden, missing = await viewer.get("/users"), await viewer.get("/nothing<here>")
    api = await viewer.http.get("/v1/users", headers={"Accept": "text/html"})
    part = await viewer.get("/users", HX_Request="true")

    assert (forbidden.status_code, missing.status_code, api.status_code) == (403, 404, 403)
    assert "Not permitted" in forbidden.text
    assert "There is no such page" in missing.text
    assert "<here>" not in missing.text
    assert api.headers["content-type"] == "application/problem+json"
    assert part.text.startswith('<p class="notice bad"')


# --- throttling ---------------------------------------------------------------------------------


async def test_logins_that_fail_are_delayed_longer_and_longer(shop: Shop) -> None:
    await shop.user("ann")
    browser, waits = shop.browser(), []
    for _ in range(5):
        assert (await browser.log_in("ann", "wrong")).status_code == 401
    for _ in range(11):
        refused = await browser.log_in("ann")
        assert refused.status_code == 429
        waits.append(int(refused.headers["retry-after"]))
        shop.clock.advance(waits[-1])
        assert (await browser.log_in("ann", "wrong")).status_code == 401

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    shop.clock.advance(300)
    assert (await browser.log_in("ann")).status_code == 303
    assert (await browser.log_in("ann", "wrong")).status_code == 401


async def test_guesses_from_elsewhere_do_not_lock_a_user_out_of_a_known_browser(
    shop: Shop,
) -> None:
    known = await shop.logged_in(Role.VIEWER)
    await known.post("/logout", {"csrf_token": await known.csrf()})
    for number in range(8):
        await shop.browser(f"198.51.100.{number}").log_in("viewer", "wrong")

    stranger = await shop.browser("203.0.113.1").log_in("viewer")
    owner = await known.log_in("viewer")

    assert (stranger.status_code, owner.status_code) == (429, 303)


async def test_guesses_by_a_known_browser_are_delayed_too(shop: Shop) -> None:
    browser = await shop.logged_in(Role.VIEWER)
    for _ in range(5):
        await browser.log_in("viewer", "wrong")

    assert (await browser.log_in("viewer")).status_code == 429


async def test_the_cookie_of_a_browser_counts_for_its_user_alone(shop: Shop) -> None:
    browser = await shop.logged_in(Role.VIEWER)
    await shop.user("ann")
    for _ in range(5):
        await shop.browser("198.51.100.9").log_in("ann", "wrong")

    assert (await browser.log_in("ann")).status_code == 429


async def test_many_names_from_one_address_are_delayed(shop: Shop) -> None:
    await shop.user("ann")
    for number in range(20):
        shop.clock.advance(1)
        await shop.browser("2001:db8::1").log_in(f"user{number}", "wrong")

    same_network = await shop.browser("2001:db8::ffff").log_in("ann")
    elsewhere = await shop.browser("2001:db8:0:1::1").log_in("ann")

    assert (same_network.status_code, elsewhere.status_code) == (429, 303)


async def test_successful_logins_of_many_people_at_one_address_are_not_delayed(shop: Shop) -> None:
    await shop.user("ann")
    for _ in range(30):
        shop.clock.advance(1)
        assert (await shop.browser().log_in("ann")).status_code == 303


async def test_guesses_at_the_same_time_are_counted(shop: Shop) -> None:
    await shop.user("ann")

    answers = await asyncio.gather(*(shop.browser().log_in("ann", "wrong") for _ in range(12)))

    assert [a.status_code for a in answers].count(401) == 5


async def test_too_many_requests_of_a_caller_are_refused_until_later(shop: Shop) -> None:
    one, two = await shop.logged_in(Role.VIEWER), await shop.logged_in(Role.OPERATOR)
    statuses = [(await one.http.get("/v1/session")).status_code for _ in range(200)]

    refused = await one.http.get("/v1/session")

    assert set(statuses) == {200}
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (await two.http.get("/v1/session")).status_code == 200
    shop.clock.advance(1)
    assert (await one.http.get("/v1/session")).status_code == 200


@pytest.mark.parametrize("size", [64 * 1024 + 1, 5 << 20])
async def test_a_request_that_is_too_large_is_refused(shop: Shop, size: int) -> None:
    browser = shop.browser()

    told = await browser.http.post("/login", content=b"name=" + b"a" * size)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(size // 1024 + 1):
            yield b"a" * 1024

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    streamed = await browser.http.post("/login", content=parts(), headers=form)

    assert (told.status_code, streamed.status_code) == (413, 413)


# --- tokens, tills and commands ------------------------------------------------------------------


async def test_a_token_is_shown_once_and_works_until_it_is_revoked(shop: Shop) -> None:
    browser = await shop.logged_in(Role.OPERATOR)
    page = await browser.post(
        "/account/tokens",
        {"csrf_token": await browser.csrf(), "name": "BI", "scopes": ["figures:read"], "days": 30},
    )
    token = next(word for word in page.text.split('"') if word.startswith("tri_"))
    bearer = {"Authorization": f"Bearer {token}"}
    other = shop.browser()

    allowed = await other.http.get("/v1/site", headers=bearer)
    denied = await other.http.get("/v1/alerts", headers=bearer)
    shown = await browser.get("/account")
    [info] = (await browser.http.get("/v1/tokens")).json()["items"]
    revoked = await browser.json("DELETE", f"/v1/tokens/{info['id']}")

    assert (allowed.status_code, denied.status_code) == (200, 403)
    assert token not in shown.text
    assert token[:10] in shown.text
    assert info["used_at"] is not None
    assert revoked.status_code == 204
    assert (await other.http.get("/v1/site", headers=bearer)).status_code == 401


async def test_a_token_never_allows_more_than_its_user_may_now(shop: Shop) -> None:
    admin = await shop.logged_in(Role.ADMIN)
    user = await shop.user("ann", Role.OPERATOR)
    token, _ = await shop.security.tokens.create(user, "t", {Permission.READ_EVENTS}, 1)
    bearer = {"Authorization": f"Bearer {token}"}

    before = await shop.browser().http.get("/v1/session", headers=bearer)
    await admin.json("PATCH", f"/v1/users/{user.user_id}", {"role": "viewer"})
    after = await shop.browser().http.get("/v1/session", headers=bearer)
    await admin.json("PATCH", f"/v1/users/{user.user_id}", {"is_disabled": True})
    disabled = await shop.browser().http.get("/v1/session", headers=bearer)

    assert before.json()["permissions"] == ["events:read"]
    assert after.json()["permissions"] == []
    assert disabled.status_code == 401


async def test_a_token_expires(shop: Shop) -> None:
    user = await shop.user("ann")
    token, _ = await shop.security.tokens.create(user, "t", {Permission.READ_FIGURES}, 1)
    bearer = {"Authorization": f"Bearer {token}"}

    shop.clock.advance(24 * HOURS)

    assert (await shop.browser().http.get("/v1/site", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    "draft",
    [
        {"name": "t", "scopes": ["users:write"]},
        {"name": "t", "scopes": ["everything"]},
        {"name": "t", "scopes": []},
        {"name": "t", "scopes": ["figures:read"], "days": 367},
        {"name": "", "scopes": ["figures:read"]},
    ],
)
async def test_a_token_that_the_user_may_not_have_is_refused(
    shop: Shop, draft: dict[str, object]
) -> None:
    viewer = await shop.logged_in(Role.VIEWER)
    assert (await viewer.json("POST", "/v1/tokens", draft)).status_code == 422


async def test_a_token_can_neither_create_another_nor_revoke_those_of_others(shop: Shop) -> None:
    ann, bob = await shop.user("ann", Role.VIEWER), await shop.user("bob", Role.VIEWER)
    token, _ = await shop.security.tokens.create(ann, "t", {Permission.READ_FIGURES}, 1)
    _, other = await shop.security.tokens.create(bob, "t", {Permission.READ_FIGURES}, 1)
    bearer, http = {"Authorization": f"Bearer {token}"}, shop.browser().http

    draft = {"name": "x", "scopes": ["figures:read"]}
    created = await http.post("/v1/tokens", json=draft, headers=bearer)
    revoked = await http.delete(f"/v1/tokens/{other.token_id}", headers=bearer)

    assert (created.status_code, revoked.status_code) == (403, 404)


async def test_receipts_are_taken_with_the_token_of_the_tills_or_an_api_token(shop: Shop) -> None:
    user = await shop.user("ann")
    token, _ = await shop.security.tokens.create(user, "t", {Permission.SEND_TRANSACTIONS}, 1)
    http = shop.browser().http

    async def send(bearer: str, **more: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"} | more
        return (await http.post("/v1/transactions", content=b"[]", headers=headers)).status_code

    assert [await send(TILL), await send(token), await send("wrong")] == [200, 200, 401]
    assert await send(TILL, **{"Content-Type": "text/plain"}) == 415
    large = b"[" + b" " * 100_000 + b"]"
    sent = {"Authorization": f"Bearer {TILL}", "Content-Type": "application/json"}
    assert (await http.post("/v1/transactions", content=large, headers=sent)).status_code == 200
    assert shop.receipts.bodies == [b"[]", b"[]", large]
    site = await http.get("/v1/site", headers={"Authorization": f"Bearer {TILL}"})
    assert site.status_code == 403


async def test_commands_on_this_machine_prove_that_they_can_read_the_folder(shop: Shop) -> None:
    http, now = shop.browser().http, shop.clock.now()

    async def status(token: str) -> int:
        sent = {"Authorization": f"Bearer {token}".encode("latin-1")}
        return (await http.get("/v1/session", headers=sent)).status_code

    good = local_token(LOCAL, now)
    assert LOCAL.decode() not in good
    assert await status(good) == 200
    assert await status(local_token(b"another", now)) == 401
    assert await status(local_token(LOCAL, now - timedelta(minutes=2))) == 401
    assert await status(local_token(LOCAL, now + timedelta(minutes=2))) == 401
    assert await status(good.replace("local.", "local.0")) == 401
    assert await status("local.²." + "0" * 64) == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [("/events", 401), ("/metrics", 200), ("/health/live", 200), ("/health/ready", 200)],
)
async def test_health_and_metrics_are_open_and_events_are_not(
    shop: Shop, path: str, status: int
) -> None:
    assert (await shop.browser().http.get(path)).status_code == status


async def test_events_need_a_caller_who_may_read_them(shop: Shop) -> None:
    viewer, operator = await shop.logged_in(Role.VIEWER), await shop.logged_in(Role.OPERATOR)

    assert (await viewer.http.get("/events")).status_code == 401
    assert (await operator.http.get("/events")).status_code == 404  # this process has no events


async def test_metrics_demand_a_token_if_there_is_one(tmp_path: Path) -> None:
    async with open_web(tmp_path, metrics_token="scrape") as shop:
        http = shop.browser().http
        right = await http.get("/metrics", headers={"Authorization": "Bearer scrape"})
        wrong = await http.get("/metrics", headers={"Authorization": "Bearer other"})
        none = await http.get("/metrics")
        health = await http.get("/health/live")

    assert [a.status_code for a in (right, wrong, none, health)] == [200, 401, 401, 200]


# --- links and the trail -------------------------------------------------------------------------


async def test_a_login_link_works_once_and_not_by_opening_it(shop: Shop) -> None:
    user = await shop.user("ann")
    secret = await shop.security.accounts.login_link(user)
    browser = shop.browser()

    previewed = [(await browser.get(f"/login/link?key={secret}")).status_code for _ in range(2)]
    first = await browser.post("/login/link", {"key": secret})
    second = await shop.browser().post("/login/link", {"key": secret})

    assert previewed == [200, 200]
    assert (first.status_code, second.status_code) == (303, 401)
    assert (await browser.http.get("/v1/session")).json()["name"] == "ann"


async def test_a_login_link_expires(shop: Shop) -> None:
    secret = await shop.security.accounts.login_link(await shop.user("ann"))
    shop.clock.advance(15 * 60)
    assert (await shop.browser().post("/login/link", {"key": secret})).status_code == 401


async def test_privileged_operations_are_in_the_hash_chained_trail(shop: Shop) -> None:
    admin = await shop.logged_in(Role.ADMIN)
    await admin.json(
        "POST", "/v1/users", {"name": "bob", "role": "viewer", "password": "quite another word"}
    )
    await admin.json("POST", "/v1/tokens", {"name": "t", "scopes": ["figures:read"]})

    first = (await admin.http.get("/v1/trail?limit=2")).json()
    rest = (await admin.http.get(f"/v1/trail?cursor={first['next_cursor']}")).json()
    page = await admin.get("/trail")

    told = [(e["by"], e["action"], e["subject"]) for e in first["items"] + rest["items"]]
    assert told == [
        ("admin", "create_token", "admin"),
        ("admin", "add_user", "bob"),
        ("admin", "log_in", "admin"),
    ]
    assert rest["next_cursor"] is None
    assert "add_user" in page.text
    assert list(shop.log.faults()) == []
    assert b"another word" not in shop.log.path.read_bytes()


async def test_the_page_of_users_changes_them(shop: Shop) -> None:
    admin = await shop.logged_in(Role.ADMIN)
    token = csrf_in((await admin.get("/users")).text)
    await admin.post(
        "/users", {"csrf_token": token, "name": "bob", "role": "viewer", "password": PASSWORD}
    )
    bob = await shop.security.accounts.named("bob")
    form = {"csrf_token": token, "role": "operator", "sites": "shop other", "is_disabled": "true"}

    changed = await admin.post(f"/users/{bob.user_id}", form)
    taken = await admin.post(
        "/users", {"csrf_token": token, "name": "bob", "role": "viewer", "password": PASSWORD}
    )

    assert changed.status_code == 303
    bob = await shop.security.accounts.named("bob")
    assert (bob.role, bob.sites, bob.is_disabled) == ("operator", ("shop", "other"), True)
    assert taken.status_code == 409
    assert "taken" in taken.text
