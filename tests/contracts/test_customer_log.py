"""Contract of the customer log: in memory, on SQLite, and on a PostgreSQL server."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.sql import customer_log as sql_customer_log
from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import ConfigurationError, CustomerConflict
from trinetra.events.customers import (
    ChangeKind,
    CustomerChange,
    CustomerDirectory,
    decode_change,
    erasure_digest,
)
from trinetra.ports import CustomerLog, Template
from trinetra.values import CustomerId, Embedding, GalleryEntry, IdentityKind

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BOB, EVE = CustomerId("ann"), CustomerId("bob"), CustomerId("eve")


def change(
    what: ChangeKind, who: CustomerId, other: CustomerId | None = None, **fields: object
) -> CustomerChange:
    change_id = str(fields.pop("change_id", f"{what}-{who}-{other}"))
    return CustomerChange(
        change_id=change_id, change=what, customer_id=who, other=other, at=NOON, **fields
    )


def enrolled(who: CustomerId, name: str = "Ann Lee") -> CustomerChange:
    return change("enrolled", who, name=name, kind=IdentityKind.VIP, consent=True)


def erased(who: CustomerId) -> CustomerChange:
    return change("erased", erasure_digest(who), change_id=f"erased-{erasure_digest(who)}")


def face(seed: int, dimension: int = 8) -> Embedding:
    vector = np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def template(who: CustomerId, seed: int = 1, model: str = "m1") -> Template:
    entry = GalleryEntry(
        entry_id=f"{who}-{seed}",
        customer_id=who,
        kind=IdentityKind.VIP,
        embedding=face(seed),
        quality=0.7,
        first_seen=NOON,
        last_seen=NOON + timedelta(microseconds=1),
        expires_at=NOON + timedelta(days=9) if seed % 2 else None,
        consent=True,
    )
    return Template(model, entry)


@pytest.fixture(params=["memory", "file", "postgres"])
async def books(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[CustomerLog, CustomerLog]]:
    """Two connections to one log, as from two processes."""
    if request.param == "memory":
        customer_log = MemoryCustomerLog()
        yield customer_log, customer_log
        return
    url = f"sqlite:///{tmp_path}/insights.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(SqlCustomerLog.open(url)) for _ in range(2)]
        yield one, two


@pytest.fixture
def customer_log(books: tuple[CustomerLog, CustomerLog]) -> CustomerLog:
    return books[0]


async def told(customer_log: CustomerLog, after: int = 0) -> list[str]:
    return [numbered.change.change_id for numbered in await customer_log.changes(after, 1000)]


async def folded(customer_log: CustomerLog) -> CustomerDirectory:
    people = CustomerDirectory()
    people.apply(await customer_log.changes(0, 1000))
    return people


async def test_changes_come_back_as_they_were_in_the_order_of_writing(
    customer_log: CustomerLog,
) -> None:
    first, second = enrolled(ANN), change("merged", EVE, ANN, score=0.9, reason="twins")
    await customer_log.write([first])
    await customer_log.write([second, enrolled(BOB, "Bób «B»")])

    found = await customer_log.changes(0, 10)

    assert [numbered.change for numbered in found] == [first, second, enrolled(BOB, "Bób «B»")]
    assert [n.number for n in found] == sorted({n.number for n in found})


async def test_a_reader_goes_on_where_it_stopped_in_steps_of_its_limit(
    customer_log: CustomerLog,
) -> None:
    await customer_log.write([enrolled(CustomerId(f"c{i}")) for i in range(5)])

    first = await customer_log.changes(0, 2)
    rest = await customer_log.changes(first[-1].number, 10)

    assert len(first) == 2
    assert [n.change.customer_id for n in rest] == ["c2", "c3", "c4"]
    assert await customer_log.changes(rest[-1].number, 10) == []


async def test_the_same_change_is_written_but_once(customer_log: CustomerLog) -> None:
    merged = change("merged", EVE, ANN)
    await customer_log.write([merged, merged])
    await customer_log.write([merged, enrolled(ANN)])

    assert await told(customer_log) == ["merged-eve-ann", "enrolled-ann-None"]


async def test_a_contradiction_leaves_everything_as_it_was(customer_log: CustomerLog) -> None:
    await customer_log.write([change("merged", EVE, ANN)])

    with pytest.raises(CustomerConflict, match="bob cannot be merged with itself"):
        await customer_log.write([enrolled(ANN), change("merged", BOB, BOB)], [template(ANN)])
    assert await told(customer_log) == ["merged-eve-ann"]
    assert await customer_log.templates("m1") == []


async def test_a_change_is_checked_against_those_of_the_same_call(
    customer_log: CustomerLog,
) -> None:
    with pytest.raises(CustomerConflict, match="already merged into ann"):
        await customer_log.write([change("merged", EVE, ANN), change("merged", EVE, BOB)])
    await customer_log.write([change("merged", EVE, ANN), change("split", EVE, ANN)])

    assert (await folded(customer_log)).merged == {}


async def test_of_writers_that_contradict_each_other_one_succeeds(
    books: tuple[CustomerLog, CustomerLog],
) -> None:
    async def merge(customer_log: CustomerLog, into: CustomerId) -> bool:
        try:
            await customer_log.write([change("merged", EVE, into)])
        except CustomerConflict:
            return False
        return True

    outcomes = await asyncio.gather(merge(books[0], ANN), merge(books[1], BOB))

    assert sorted(outcomes) == [False, True]
    assert len(await told(books[0])) == 1


async def test_a_chain_of_merges_is_not_closed_by_a_connection_that_wrote_none_of_it(
    books: tuple[CustomerLog, CustomerLog],
) -> None:
    one, two = books
    await one.write([change("merged", EVE, BOB), change("merged", BOB, ANN)])
    with pytest.raises(CustomerConflict, match="is already merged into"):
        await two.write([change("merged", ANN, EVE)])
    await two.write([change("split", BOB, ANN), change("merged", ANN, EVE)])
    assert (await folded(one)).canonical(ANN) == BOB


async def test_a_write_reads_as_little_of_a_long_log_as_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def decode(payload: bytes) -> CustomerChange:
        read.append(payload)
        return decode_change(payload)

    monkeypatch.setattr(sql_customer_log, "decode_change", decode)
    async with SqlCustomerLog.open(f"sqlite:///{tmp_path}/insights.db") as customer_log:
        for first, last in ((0, 10), (10, 2000)):
            numbers = range(first, last)
            await customer_log.write(
                [change("merged", CustomerId(f"a{n}"), CustomerId(f"b{n}")) for n in numbers]
            )
            read.clear()
            await customer_log.write([change("merged", CustomerId("c"), CustomerId(f"a{first}"))])
            await customer_log.write([change("split", CustomerId("c"), CustomerId(f"a{first}"))])
            assert len(read) < 10


async def test_a_follower_misses_nothing_that_many_write_at_once(
    books: tuple[CustomerLog, CustomerLog],
) -> None:
    seen: list[str] = []

    async def follow() -> None:
        number = 0
        while len(seen) < 40:
            for numbered in await books[1].changes(number, 3):
                number = numbered.number
                seen.append(numbered.change.customer_id)
            await asyncio.sleep(0)

    async def write(customer_log: CustomerLog, first: int) -> None:
        for i in range(first, first + 20):
            await customer_log.write([enrolled(CustomerId(f"c{i}"))])

    await asyncio.gather(follow(), write(books[0], 0), write(books[1], 20))

    assert sorted(seen) == sorted(f"c{i}" for i in range(40))


async def test_faces_come_back_bit_by_bit_and_by_model(customer_log: CustomerLog) -> None:
    kept = [template(ANN, 1), template(ANN, 2)]
    await customer_log.write([enrolled(ANN)], [*kept, template(ANN, 3, model="m2")])
    await customer_log.write([], [template(ANN, 1)])

    found = await customer_log.templates("m1")

    for entry, was in zip(found, (t.entry for t in kept), strict=True):
        np.testing.assert_array_equal(entry.embedding, was.embedding)
        assert (entry.entry_id, entry.customer_id, entry.kind) == (was.entry_id, ANN, was.kind)
        assert (entry.first_seen, entry.last_seen) == (was.first_seen, was.last_seen)
        assert (entry.expires_at, entry.quality) == (was.expires_at, was.quality)
        assert entry.consent
    assert len(await customer_log.templates("m2")) == 1


async def test_an_erasure_leaves_only_a_digest(customer_log: CustomerLog) -> None:
    await customer_log.write(
        [enrolled(ANN), enrolled(BOB), change("merged", EVE, ANN)], [template(ANN)]
    )
    await customer_log.write([], [template(BOB)])

    gone = await customer_log.erase(ANN, erased(ANN))

    assert gone == 3
    assert [n.change for n in await customer_log.changes(0, 10)] == [enrolled(BOB), erased(ANN)]
    assert [entry.customer_id for entry in await customer_log.templates("m1")] == [BOB]
    assert (await folded(customer_log)).is_erased(ANN)


async def test_erasing_again_changes_nothing_and_brings_nothing_back(
    customer_log: CustomerLog,
) -> None:
    await customer_log.write([enrolled(ANN)], [template(ANN)])
    await customer_log.erase(ANN, erased(ANN))

    assert await customer_log.erase(ANN, erased(ANN)) == 0
    assert len(await told(customer_log)) == 1
    with pytest.raises(CustomerConflict, match="was erased"):
        await customer_log.write([enrolled(ANN)])
    with pytest.raises(CustomerConflict, match="erased"):
        await customer_log.write([], [template(ANN)])


async def test_a_follower_hears_of_an_erasure_of_the_last_change(customer_log: CustomerLog) -> None:
    await customer_log.write([enrolled(ANN)])
    people = await folded(customer_log)

    await customer_log.erase(ANN, erased(ANN))
    people.apply(await customer_log.changes(people.number, 10))

    assert people == await folded(customer_log)
    assert people.is_erased(ANN)


async def test_a_reader_is_told_how_far_anyone_of_its_name_came(
    books: tuple[CustomerLog, CustomerLog],
) -> None:
    assert await books[0].reached("announcer") == 0
    assert await books[0].reached("announcer", 7) == 7
    assert await books[1].reached("announcer", 5) == 7
    assert await books[1].reached("another") == 0


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_no_byte_of_an_erased_person_is_left_in_the_file(tmp_path: Path) -> None:
    async with SqlCustomerLog.open(f"sqlite:///{tmp_path}/insights.db") as customer_log:
        await customer_log.write([enrolled(ANN, "Ann Unmistakable")], [template(ANN)])
        before = bytes_in(tmp_path)
        await customer_log.erase(ANN, erased(ANN))
        after = bytes_in(tmp_path)

    assert b"Unmistakable" in before
    assert face(1).tobytes() in before
    assert b"Unmistakable" not in after
    assert face(1).tobytes() not in after


async def test_the_book_lives_beside_the_insights_and_outlasts_its_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/insights.db"
    async with SqlInsightStore.open(url), SqlCustomerLog.open(url) as customer_log:
        await customer_log.write([enrolled(ANN)], [template(ANN)])
    async with SqlCustomerLog.open(url) as customer_log:
        assert await told(customer_log) == ["enrolled-ann-None"]
        assert len(await customer_log.templates("m1")) == 1


async def test_a_book_of_a_newer_trinetra_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/insights.db"
    async with SqlCustomerLog.open(url):
        pass
    with sqlite3.connect(tmp_path / "insights.db") as other:
        other.execute("update trinetra_revision set version_num = '9999'")
    other.close()

    with pytest.raises(ConfigurationError, match="schema version 9999"):
        async with SqlCustomerLog.open(url):
            pass
