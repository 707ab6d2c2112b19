"""Contract of every gallery adapter."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal
from tests.servers.qdrant_server import QdrantServer

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.qdrant.collection import collection_name
from trinetra.adapters.qdrant.connection import Endpoint, ServerPatience, connect
from trinetra.adapters.qdrant.gallery import QdrantConnection, QdrantGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery
from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.hosting import Dependency
from trinetra.ports import Gallery, PurgeableGallery
from trinetra.values import CustomerId, Embedding, GalleryEntry, GalleryMatch, IdentityKind

DIMENSION = 24
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INDEX_AT_ONCE = GalleryTuning(index_after=8, index_at_latest=8)
URL_VARIABLE, KEY_VARIABLE = "TRINETRA_TEST_QDRANT_URL", "TRINETRA_TEST_QDRANT_API_KEY"
PATIENT = ServerPatience(search_s=30, write_s=30, prepare_s=30)  # a slow machine is no failure
LOCAL_MODE_SCANS = "ignore:(Payload indexes|Local mode):UserWarning"
COSINE_TOLERANCE = 1e-5
Opener = Callable[[], AbstractAsyncContextManager[PurgeableGallery]]


def memory_opener(_folder: Path, dimension: int) -> Opener:
    gallery = MemoryGallery(dimension)

    @asynccontextmanager
    async def opened() -> AsyncIterator[PurgeableGallery]:
        yield gallery

    return opened


def scanning_opener(folder: Path, dimension: int) -> Opener:
    return lambda: EdgeGallery.open(folder, model_version="test/1", dimension=dimension)


def indexing_opener(folder: Path, dimension: int) -> Opener:
    return lambda: EdgeGallery.open(
        folder, model_version="test/1", dimension=dimension, tuning=INDEX_AT_ONCE
    )


def large_indexing_opener(folder: Path, dimension: int) -> Opener:
    tuning = GalleryTuning(index_after=500, index_at_latest=500)
    return lambda: EdgeGallery.open(
        folder, model_version="test/1", dimension=dimension, tuning=tuning
    )


def local_opener(_folder: Path, dimension: int) -> Opener:
    """Return qdrant-client's local engine, an implementation independent of the server's."""
    client = AsyncQdrantLocal(":memory:")

    @asynccontextmanager
    async def opened() -> AsyncIterator[PurgeableGallery]:
        yield QdrantGallery(client, "faces", dimension)

    return opened


def new_name() -> str:
    return f"test-{uuid4().hex}"


def remove_collection(url: str, api_key: str | None, namespace: str) -> None:
    async def remove() -> None:
        client = connect(Endpoint.parse(url), api_key, PATIENT)
        await client.delete_collection(collection_name(namespace, "test/1"))
        await client.close()

    asyncio.run(remove())


def server_opener(url: str, dimension: int, api_key: str | None, namespace: str) -> Opener:
    return lambda: QdrantGallery.open(
        QdrantConnection(url, api_key, PATIENT),
        model_version="test/1",
        dimension=dimension,
        namespace=namespace,
    )


MAKERS = {
    "memory": memory_opener,
    "scanning": scanning_opener,
    "indexing": indexing_opener,
    "large-indexing": large_indexing_opener,
    "local": local_opener,
}
SERVERS = ["wire", *(["server"] if URL_VARIABLE in os.environ else [])]
GALLERIES = [
    "memory",
    "scanning",
    "indexing",
    pytest.param("local", marks=pytest.mark.filterwarnings(LOCAL_MODE_SCANS)),
    *SERVERS,
]


def make_opener(request: pytest.FixtureRequest, folder: Path, dimension: int) -> Opener:
    if request.param == "wire":
        return server_opener(request.getfixturevalue("wire_url"), dimension, None, new_name())
    if request.param == "server":
        url, api_key, namespace = os.environ[URL_VARIABLE], os.environ.get(KEY_VARIABLE), new_name()
        request.addfinalizer(lambda: remove_collection(url, api_key, namespace))
        return server_opener(url, dimension, api_key, namespace)
    return MAKERS[request.param](folder, dimension)


@pytest.fixture(scope="module")
def wire_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with QdrantServer(tmp_path_factory.mktemp("qdrant")) as server:
        yield server.url


@pytest.fixture
def dimension() -> int:
    return DIMENSION


@pytest.fixture(params=GALLERIES)
def opener(request: pytest.FixtureRequest, tmp_path: Path, dimension: int) -> Opener:
    return make_opener(request, tmp_path, dimension)


@pytest.fixture
async def gallery(opener: Opener) -> AsyncIterator[PurgeableGallery]:
    async with opener() as gallery:
        yield gallery


@dataclass
class Hosted:
    """A gallery with its own event loop, for tests that hypothesis calls many times."""

    gallery: PurgeableGallery
    run: Callable[[Awaitable[object]], object]


@pytest.fixture(scope="module", params=GALLERIES)
def hosted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosted]:
    with asyncio.Runner() as runner:
        context = make_opener(request, tmp_path_factory.mktemp("gallery"), DIMENSION)()
        yield Hosted(runner.run(context.__aenter__()), runner.run)
        runner.run(context.__aexit__(None, None, None))


def directions(count: int, dimension: int = DIMENSION, seed: int = 0) -> list[Embedding]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def entry(
    name: str, embedding: Embedding, customer: str = "ann", **changes: object
) -> GalleryEntry:
    base = GalleryEntry(
        entry_id=name,
        customer_id=CustomerId(customer),
        kind=IdentityKind.ANONYMOUS,
        embedding=embedding,
        quality=0.7,
        first_seen=NOON,
        last_seen=NOON,
        expires_at=None,
        consent=False,
    )
    return replace(base, **changes)


def ids(matches: Sequence[GalleryMatch]) -> list[str]:
    return [match.entry_id for match in matches]


def test_this_suite_also_runs_on_a_real_server() -> None:
    if "server" not in SERVERS:
        pytest.skip(f"set {URL_VARIABLE} to http://host:6334, and {KEY_VARIABLE} if it wants a key")


async def test_an_empty_gallery_finds_nothing(gallery: Gallery) -> None:
    assert await gallery.count() == 0
    assert await gallery.search(directions(2), 5) == [[], []]


async def test_a_search_for_nothing_finds_nothing(gallery: Gallery) -> None:
    await gallery.upsert([entry("a", directions(1)[0])])

    assert await gallery.search([], 5) == []
    assert await gallery.search(directions(1), 0) == [[]]


async def test_an_upsert_of_nothing_changes_nothing(gallery: Gallery) -> None:
    await gallery.upsert([])

    assert await gallery.count() == 0


async def test_a_match_tells_whose_entry_it_is_since_when_and_how_alike(gallery: Gallery) -> None:
    face = directions(1)[0]
    written = entry("a", face, "bob", kind=IdentityKind.WATCHLIST)
    await gallery.upsert([written])

    [[match]] = await gallery.search([face], 1)

    assert match.entry_id == "a"
    assert match.customer_id == "bob"
    assert match.kind is IdentityKind.WATCHLIST
    assert match.first_seen == written.first_seen
    assert match.cosine == pytest.approx(1.0, abs=COSINE_TOLERANCE)


async def test_matches_come_best_first_with_the_cosine_of_numpy(gallery: Gallery) -> None:
    faces = directions(40)
    query = directions(1, seed=9)[0]
    await gallery.upsert([entry(str(i), face) for i, face in enumerate(faces)])
    cosines = np.stack(faces) @ query
    expected = np.argsort(-cosines)[:7]

    [matches] = await gallery.search([query], 7)

    assert ids(matches) == [str(i) for i in expected]
    assert [m.cosine for m in matches] == pytest.approx(
        cosines[expected].tolist(), abs=COSINE_TOLERANCE
    )


async def test_opposite_faces_have_cosine_minus_one(gallery: Gallery) -> None:
    face = directions(1)[0]
    await gallery.upsert([entry("a", face)])

    [[match]] = await gallery.search([-face], 1)

    assert match.cosine == pytest.approx(-1.0, abs=COSINE_TOLERANCE)
    assert match.cosine >= -1.0


async def test_length_does_not_count_only_direction(gallery: Gallery) -> None:
    face = directions(1)[0]
    await gallery.upsert([entry("a", face * np.float32(3))])

    [[match]] = await gallery.search([face * np.float32(0.1)], 1)

    assert match.cosine == pytest.approx(1.0, abs=COSINE_TOLERANCE)


async def test_every_entry_of_one_customer_matches_by_itself(gallery: Gallery) -> None:
    front, side = directions(2)
    await gallery.upsert([entry("front", front), entry("side", side)])

    [matches] = await gallery.search([front], 5)

    assert ids(matches) == ["front", "side"]
    assert {match.customer_id for match in matches} == {"ann"}


async def test_asking_for_more_than_there_is_returns_all(gallery: Gallery) -> None:
    faces = directions(3)
    await gallery.upsert([entry(str(i), face) for i, face in enumerate(faces)])

    [matches] = await gallery.search(faces[:1], 100)

    assert sorted(ids(matches)) == ["0", "1", "2"]


async def test_a_batch_finds_what_single_searches_find(gallery: Gallery) -> None:
    await gallery.upsert([entry(str(i), face) for i, face in enumerate(directions(50))])
    queries = directions(6, seed=3)

    batch = await gallery.search(queries, 4)
    singles = [(await gallery.search([query], 4))[0] for query in queries]
    at_once = await asyncio.gather(*(gallery.search([query], 4) for query in queries))

    assert [ids(m) for m in batch] == [ids(m) for m in singles]
    assert [ids(m) for [m] in at_once] == [ids(m) for m in singles]


async def test_an_upsert_replaces_the_entry_of_the_same_id(gallery: Gallery) -> None:
    old, new = directions(2)
    await gallery.upsert([entry("a", old, "ann")])
    await gallery.upsert([entry("a", new, "bob")])

    [[match]] = await gallery.search([new], 5)

    assert await gallery.count() == 1
    assert match.customer_id == "bob"
    assert match.cosine == pytest.approx(1.0, abs=COSINE_TOLERANCE)


async def test_of_two_entries_with_one_id_in_one_call_the_last_stays(gallery: Gallery) -> None:
    old, new = directions(2)
    await gallery.upsert([entry("a", old, "ann"), entry("a", new, "bob")])

    [[match]] = await gallery.search([new], 5)

    assert match.customer_id == "bob"
    assert match.cosine == pytest.approx(1.0, abs=COSINE_TOLERANCE)


async def test_entries_are_read_by_id_as_they_were_stored_and_unknown_ids_are_omitted(
    gallery: PurgeableGallery,
) -> None:
    kept = [entry(f"e{n}", face, f"c{n}") for n, face in enumerate(directions(3))]
    await gallery.upsert(kept)
    assert await gallery.get([]) == []
    assert await gallery.get(["nobody"]) == []
    found = {e.entry_id: e for e in await gallery.get(["e2", "nobody", "e0", "e2"])}
    assert found.keys() == {"e0", "e2"}
    for name, read in found.items():
        [stored] = [e for e in kept if e.entry_id == name]
        assert np.allclose(read.embedding, stored.embedding, atol=COSINE_TOLERANCE)
        assert replace(read, embedding=stored.embedding) == stored
    await gallery.delete(CustomerId("c0"))
    assert [e.entry_id for e in await gallery.get(["e0", "e2"])] == ["e2"]


async def test_a_deleted_customer_is_not_found_again(gallery: Gallery) -> None:
    faces = directions(30)
    await gallery.upsert([entry(str(i), f, "ann" if i % 3 else "bob") for i, f in enumerate(faces)])

    assert await gallery.delete(CustomerId("bob")) == 10
    assert await gallery.delete(CustomerId("bob")) == 0
    assert await gallery.count() == 20
    for matches in await gallery.search(faces, 30):
        assert {match.customer_id for match in matches} == {"ann"}


async def test_a_purge_keeps_all_other_entries(gallery: PurgeableGallery) -> None:
    faces = directions(30)
    await gallery.upsert([entry(str(i), f, f"c{i}") for i, f in enumerate(faces)])
    await gallery.delete(CustomerId("c7"))

    await gallery.purge()
    found = await gallery.search(faces, 1)
    assert {matches[0].customer_id for matches in found} == {f"c{i}" for i in range(30)} - {"c7"}
    await gallery.upsert([entry("31", faces[7], "c31")])
    assert await gallery.count() == 30


async def test_an_entry_expires_at_its_instant_and_not_before(gallery: Gallery) -> None:
    early, due, late, never = directions(4)
    tick = timedelta(microseconds=1)
    await gallery.upsert(
        [
            entry("early", early, expires_at=NOON - tick),
            entry("due", due, expires_at=NOON),
            entry("late", late, expires_at=NOON + tick),
            entry("never", never, expires_at=None),
        ]
    )

    assert await gallery.delete_expired(NOON) == 2
    [matches] = await gallery.search([late], 9)
    assert sorted(ids(matches)) == ["late", "never"]
    assert await gallery.delete_expired(NOON) == 0


async def test_a_refreshed_entry_lives_on(gallery: Gallery) -> None:
    face = directions(1)[0]
    await gallery.upsert([entry("a", face, expires_at=NOON)])
    await gallery.upsert([entry("a", face, expires_at=NOON + timedelta(days=1))])
    await gallery.upsert([entry("b", face, expires_at=NOON)])
    await gallery.upsert([entry("b", face, expires_at=None)])

    assert await gallery.delete_expired(NOON) == 0


@pytest.mark.parametrize(
    "bad",
    [
        np.ones(DIMENSION + 1, np.float32),
        np.ones((1, DIMENSION), np.float32),
        np.full(DIMENSION, np.nan, np.float32),
        np.full(DIMENSION, np.inf, np.float32),
        np.zeros(DIMENSION, np.float32),
    ],
    ids=["too-long", "two-dimensional", "nan", "infinite", "zero"],
)
async def test_an_embedding_that_cannot_be_compared_is_refused(
    gallery: Gallery, bad: Embedding
) -> None:
    good = directions(1)[0]

    with pytest.raises(ValueError, match="embedding"):
        await gallery.upsert([entry("good", good), entry("bad", bad)])
    with pytest.raises(ValueError, match="embedding"):
        await gallery.search([good, bad], 1)
    assert await gallery.count() == 0


async def test_the_gallery_keeps_its_own_copy(gallery: Gallery) -> None:
    face = directions(1)[0].copy()
    await gallery.upsert([entry("a", face)])
    query = face.copy()
    face[:] = -face

    [[match]] = await gallery.search([query], 1)

    assert match.cosine == pytest.approx(1.0, abs=COSINE_TOLERANCE)


async def test_stored_entries_are_persistent(opener: Opener) -> None:
    faces = directions(20)
    async with opener() as gallery:
        await gallery.upsert([entry(str(i), f, f"c{i}") for i, f in enumerate(faces)])
        await gallery.delete(CustomerId("c3"))
    async with opener() as gallery:
        found = await gallery.search(faces, 1)
        assert await gallery.count() == 19
        assert [m.entry_id for [m] in found][4:] == [str(i) for i in range(4, 20)]
        assert found[3][0].entry_id != "3"


async def test_many_entries_in_one_call_all_arrive(gallery: Gallery) -> None:
    faces = directions(700)
    await gallery.upsert([entry(f"näme/{i}", face) for i, face in enumerate(faces)])

    assert await gallery.count() == 700
    [[match]] = await gallery.search([faces[699]], 1)
    assert match.entry_id == "näme/699"


async def test_an_archive_holds_every_entry_as_it_was_given(gallery: PurgeableGallery) -> None:
    faces = directions(45)
    given = {
        str(i): entry(
            str(i),
            face * np.float32(2),
            f"c{i % 7}",
            kind=list(IdentityKind)[i % 4],
            quality=i / 45,
            first_seen=NOON - timedelta(microseconds=i),
            last_seen=NOON + timedelta(microseconds=i),
            expires_at=NOON + timedelta(days=i) if i % 2 else None,
            consent=i % 3 == 0,
        )
        for i, face in enumerate(faces)
    }
    await gallery.upsert(list(given.values()))

    batches = [batch async for batch in gallery.entries(10)]

    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 5]
    kept = {entry.entry_id: entry for batch in batches for entry in batch}
    assert kept.keys() == given.keys()
    for name, was in given.items():
        kept_face = kept[name].embedding
        assert kept_face == pytest.approx(faces[int(name)], abs=COSINE_TOLERANCE)
        assert kept[name].quality == pytest.approx(was.quality)  # it is sent as text
        assert replace(kept[name], embedding=was.embedding, quality=was.quality) == was


async def test_the_health_page_shows_what_answers(gallery: PurgeableGallery) -> None:
    if isinstance(gallery, MemoryGallery):  # never unavailable, so not shown on the health page
        assert not isinstance(gallery, Dependency)
        return
    assert isinstance(gallery, Dependency)
    assert gallery.name == "gallery"
    said = await gallery.check()
    if isinstance(gallery, EdgeGallery):
        assert said == f"gallery process {gallery.process_id} answers, 0 entries"
    else:
        assert said.startswith("Qdrant ")
        assert said.endswith(f", collection {gallery.collection}")


async def test_an_archive_of_an_empty_gallery_is_empty(gallery: PurgeableGallery) -> None:
    assert [batch async for batch in gallery.entries(10)] == []


# Integers, so that equal cosines are exactly equal and others clearly differ.
vectors = st.lists(st.integers(-4, 4), min_size=DIMENSION, max_size=DIMENSION).filter(any)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.integers(0, 9), st.integers(0, 3), vectors),
        st.tuples(st.just("delete"), st.integers(0, 3)),
        st.tuples(st.just("expire"), st.integers(0, 9)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(operations, vectors)
def test_any_history_gives_what_an_exact_model_gives(
    hosted: Hosted, history: list[tuple], query: list[int]
) -> None:
    hosted.run(_check_history(hosted.gallery, history, np.array(query, np.float32)))


async def _check_history(gallery: Gallery, history: list[tuple], query: Embedding) -> None:
    await _clear(gallery)
    model: dict[str, GalleryEntry] = {}
    for operation, *values in history:
        match operation:
            case "upsert":
                name, customer, vector = values
                new = entry(
                    f"e{name}",
                    np.array(vector, np.float32),
                    f"c{customer}",
                    expires_at=NOON + timedelta(seconds=name),
                )
                model[new.entry_id] = new
                await gallery.upsert([new])
            case "delete":
                gone = [k for k, e in model.items() if e.customer_id == f"c{values[0]}"]
                assert await gallery.delete(CustomerId(f"c{values[0]}")) == len(gone)
                model = {k: e for k, e in model.items() if k not in gone}
            case "expire":
                now = NOON + timedelta(seconds=values[0])
                gone = [k for k, e in model.items() if e.expires_at and e.expires_at <= now]
                assert await gallery.delete_expired(now) == len(gone)
                model = {k: e for k, e in model.items() if k not in gone}
    [matches] = await gallery.search([query], 5)
    cosines = {k: _cosine(e.embedding, query) for k, e in model.items()}
    assert await gallery.count() == len(model)
    assert [m.cosine for m in matches] == pytest.approx(
        sorted(cosines.values(), reverse=True)[:5], abs=COSINE_TOLERANCE
    )
    assert all(
        m.cosine == pytest.approx(cosines[m.entry_id], abs=COSINE_TOLERANCE) for m in matches
    )


def _cosine(a: Embedding, b: Embedding) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


async def _clear(gallery: Gallery) -> None:
    for customer in range(4):
        await gallery.delete(CustomerId(f"c{customer}"))


@pytest.mark.parametrize(
    "opener",
    ["large-indexing", *SERVERS],
    indirect=True,
)
@pytest.mark.parametrize("dimension", [512])
async def test_an_index_finds_the_nearest_of_many_and_scores_them_exactly(opener: Opener) -> None:
    faces = directions(2_100, 512)  # enough for the engine to search its graph
    noise = directions(300, 512, seed=1)
    queries = [f + np.float32(0.5) * n for f, n in zip(faces[::7], noise, strict=True)]
    async with opener() as gallery:
        await gallery.upsert([entry(str(i), face) for i, face in enumerate(faces)])
        found = await gallery.search(queries, 3)

    cosines = np.stack(queries) @ np.stack(faces).T / np.linalg.norm(queries, axis=1)[:, None]
    assert [matches[0].entry_id for matches in found] == [str(i) for i in cosines.argmax(axis=1)]
    for matches, row in zip(found, cosines, strict=True):
        assert [m.cosine for m in matches] == pytest.approx(
            [row[int(m.entry_id)] for m in matches], abs=COSINE_TOLERANCE
        )
