"""Contract of the stores of web access: on SQLite, in memory and on a PostgreSQL server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trinetra.adapters.sql.account_store import SecurityStores
from trinetra.events.accounts import OneTimeSecret, SessionRecord, TokenRecord, User

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def user(name: str, role: str = "viewer", **more: Any) -> User:
    fields = {"sites": ("*",), "created_at": NOON, "password_hash": "hash"} | more
    return User(user_id=f"id-{name}", name=name, role=role, **fields)


def session(digest: str, of: User, at: datetime = NOON) -> SessionRecord:
    return SessionRecord(
        digest=digest, user_id=of.user_id, csrf_token="c", created_at=at, seen_at=at
    )


def token(token_id: str, of: User, at: datetime = NOON) -> TokenRecord:
    return TokenRecord(
        token_id=token_id,
        digest=f"digest-{token_id}",
        prefix="tri_abc",
        name="till",
        user_id=of.user_id,
        scopes=("figures:read",),
        created_at=at,
        expires_at=at + timedelta(days=1),
    )


def secret(digest: str, valid: timedelta = MINUTE, **payload: str) -> OneTimeSecret:
    return OneTimeSecret(digest=digest, purpose="login", expires_at=NOON + valid, payload=payload)


@pytest.fixture(params=["memory", "file", "postgres"])
async def both(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[SecurityStores, SecurityStores]]:
    """Two connections to one database, as from two processes."""
    if request.param == "memory":
        async with SecurityStores.open("sqlite://") as stores:
            yield stores, stores
        return
    url = f"sqlite:///{tmp_path}/insights.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(SecurityStores.open(url)) for _ in range(2)]
        yield one, two


@pytest.fixture
def stores(both: tuple[SecurityStores, SecurityStores]) -> SecurityStores:
    return both[0]


async def test_a_user_comes_back_as_it_was_by_name_id_and_subject(stores: SecurityStores) -> None:
    ann = user("ann", sites=("here", "there"), subject="https://id#1", password_hash=None)

    assert await stores.accounts.add_user(ann)

    for found in ({"name": "ann"}, {"user_id": "id-ann"}, {"subject": "https://id#1"}):
        assert await stores.accounts.find_user(**found) == ann
    assert await stores.accounts.find_user(name="bob") is None
    assert await stores.accounts.users() == [ann]


async def test_a_name_and_a_subject_belong_to_one_user(stores: SecurityStores) -> None:
    await stores.accounts.add_user(user("ann", subject="s"))

    assert not await stores.accounts.add_user(msgspec.structs.replace(user("ann"), user_id="x"))
    assert not await stores.accounts.add_user(user("bob", subject="s"))
    assert await stores.accounts.add_user(user("bob", subject="t"))


async def test_of_two_first_users_at_once_one_is_added(
    both: tuple[SecurityStores, SecurityStores],
) -> None:
    adding = [
        stores.accounts.add_user(user(name), only_first=True)
        for stores, name in zip(both, ("ann", "bob"), strict=True)
    ]

    assert sorted(await asyncio.gather(*adding)) == [False, True]


async def test_the_last_administrator_stays_one_also_if_two_step_down_at_once(
    both: tuple[SecurityStores, SecurityStores],
) -> None:
    people = [user("ann", "admin"), user("bob", "admin")]
    for each in people:
        await both[0].accounts.add_user(each)

    changes = await asyncio.gather(
        *(
            stores.accounts.change_user(
                msgspec.structs.replace(each, role="viewer"), keeps_role="admin"
            )
            for stores, each in zip(both, people, strict=True)
        )
    )

    assert sorted(changes) == [False, True]
    assert [u.role for u in await both[0].accounts.users()].count("admin") == 1


async def test_a_disabled_administrator_does_not_count(stores: SecurityStores) -> None:
    ann, bob = user("ann", "admin"), user("bob", "admin", is_disabled=True)
    await stores.accounts.add_user(ann)
    await stores.accounts.add_user(bob)

    disabled = msgspec.structs.replace(ann, is_disabled=True)

    assert not await stores.accounts.change_user(disabled, keeps_role="admin")


async def test_a_change_ends_the_sessions_of_that_user_alone(stores: SecurityStores) -> None:
    ann, bob = user("ann", "admin"), user("bob")
    for each in (ann, bob):
        await stores.accounts.add_user(each)
        await stores.sessions.start(session(each.name, each), forget_before=NOON - MINUTE)

    assert await stores.accounts.change_user(
        msgspec.structs.replace(bob, role="operator"), keeps_role="admin"
    )

    assert await stores.sessions.find("bob") is None
    assert await stores.sessions.find("ann") is not None


async def test_a_change_of_an_unknown_user_is_none(stores: SecurityStores) -> None:
    await stores.accounts.add_user(user("ann", "admin"))
    assert not await stores.accounts.change_user(user("bob"), keeps_role="admin")


async def test_a_session_is_found_with_its_user_touched_and_ended(stores: SecurityStores) -> None:
    ann = user("ann")
    await stores.accounts.add_user(ann)
    await stores.sessions.start(session("s1", ann), forget_before=NOON - MINUTE)
    await stores.sessions.start(session("s2", ann), forget_before=NOON - MINUTE)

    await stores.sessions.touch("s1", NOON + MINUTE)
    found = await stores.sessions.find("s1")
    await stores.sessions.end_all(ann.user_id, but="s2")

    assert found == (msgspec.structs.replace(session("s1", ann), seen_at=NOON + MINUTE), ann)
    assert await stores.sessions.find("s1") is None
    await stores.sessions.end("s2")
    await stores.sessions.end("s2")
    assert await stores.sessions.find("s2") is None


async def test_old_sessions_are_forgotten_when_one_starts(stores: SecurityStores) -> None:
    ann = user("ann")
    await stores.accounts.add_user(ann)
    await stores.sessions.start(session("old", ann), forget_before=NOON - MINUTE)

    await stores.sessions.start(session("new", ann, NOON + MINUTE), forget_before=NOON + MINUTE)

    assert await stores.sessions.find("old") is None
    assert await stores.sessions.find("new") is not None


async def test_a_token_is_found_listed_touched_and_revoked_once(stores: SecurityStores) -> None:
    ann, bob = user("ann"), user("bob")
    first, second, other = token("t1", ann), token("t2", ann, NOON + MINUTE), token("t3", bob)
    for each in (ann, bob):
        await stores.accounts.add_user(each)
    for each in (first, second, other):
        await stores.tokens.add(each)

    await stores.tokens.touch("t1", NOON + MINUTE)

    used = msgspec.structs.replace(first, used_at=NOON + MINUTE)
    assert await stores.tokens.find(first.digest) == (used, ann)
    assert await stores.tokens.tokens(ann.user_id) == [second, used]
    assert len(await stores.tokens.tokens()) == 3
    assert await stores.tokens.revoke("t1", NOON)
    assert not await stores.tokens.revoke("t1", NOON)
    assert not await stores.tokens.revoke("t9", NOON)
    revoked = await stores.tokens.find(first.digest)
    assert revoked is not None
    assert revoked[0].revoked_at == NOON


async def test_of_many_who_take_a_secret_one_gets_it(
    both: tuple[SecurityStores, SecurityStores],
) -> None:
    await both[0].one_time.keep(secret("d", user_id="u"), NOON, at_most=5)

    taken = await asyncio.gather(
        *(stores.one_time.take("d", "login", NOON) for stores in both for _ in range(5))
    )

    assert [each.payload for each in taken if each] == [{"user_id": "u"}]


async def test_a_secret_is_for_one_purpose_until_it_expires(stores: SecurityStores) -> None:
    await stores.one_time.keep(secret("d"), NOON, at_most=5)

    assert await stores.one_time.find("d", "login", NOON) is not None
    assert await stores.one_time.find("d", "first_user", NOON) is None
    assert await stores.one_time.take("d", "oidc", NOON) is None
    assert await stores.one_time.take("d", "login", NOON + MINUTE) is None
    assert await stores.one_time.take("d", "login", NOON + MINUTE / 2) is not None


async def test_secrets_beyond_the_limit_and_expired_ones_are_deleted(
    stores: SecurityStores,
) -> None:
    for number in range(4):
        await stores.one_time.keep(secret(f"d{number}", MINUTE * (number + 1)), NOON, at_most=2)

    found = [await stores.one_time.find(f"d{n}", "login", NOON) for n in range(4)]

    assert [each is not None for each in found] == [False, False, True, True]


async def test_the_first_key_of_a_name_is_kept(
    both: tuple[SecurityStores, SecurityStores],
) -> None:
    assert await both[0].one_time.server_key("device", b"one") == b"one"
    assert await both[1].one_time.server_key("device", b"two") == b"one"
    assert await both[1].one_time.server_key("other", b"two") == b"two"


async def test_failures_are_counted_unless_a_wait_is_due(stores: SecurityStores) -> None:
    async def attempt(wait_s: float) -> tuple[float, dict[str, int]]:
        seen: dict[str, int] = {}

        def wait(so_far: Any) -> float:
            seen.update({key: failures.count for key, failures in so_far.items()})
            return wait_s

        return await stores.failures.attempt(["a", "b"], NOON, wait), seen

    assert await attempt(0) == (0, {})
    assert await attempt(0) == (0, {"a": 1, "b": 1})
    assert await attempt(7) == (7, {"a": 2, "b": 2})
    assert await attempt(0) == (0, {"a": 2, "b": 2})
    await stores.failures.succeed(["a"], ["b"])
    assert await attempt(0) == (0, {"b": 2})


async def test_attempts_at_once_are_all_counted(
    both: tuple[SecurityStores, SecurityStores],
) -> None:
    seen: list[int] = []

    def wait(so_far: Any) -> float:
        seen.append(so_far["a"].count if "a" in so_far else 0)
        return 0.0

    await asyncio.gather(
        *(stores.failures.attempt(["a"], NOON, wait) for stores in both for _ in range(5))
    )

    assert sorted(seen) == list(range(10))


async def test_failures_of_yesterday_are_forgotten(stores: SecurityStores) -> None:
    await stores.failures.attempt(["a"], NOON, lambda _: 0.0)
    await stores.failures.attempt(["b"], NOON + timedelta(days=2), lambda _: 0.0)
    seen: list[Any] = []

    await stores.failures.attempt(["a"], NOON, lambda so_far: seen.append(so_far) or 0.0)

    assert seen == [{}]
