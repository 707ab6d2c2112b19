"""What the gallery does when its server is killed, hangs, comes late, or is the wrong one."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from qdrant_client.models import PointStruct
from tests.servers.proxy import Proxy, Way
from tests.servers.qdrant_server import QdrantServer

from trinetra.adapters.qdrant.connection import Endpoint, ServerPatience, connect
from trinetra.adapters.qdrant.gallery import QdrantConnection, QdrantGallery
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.hosting import Dependency
from trinetra.telemetry import GALLERY_AVAILABILITY
from trinetra.values import CustomerId, Embedding, GalleryEntry, IdentityKind

DIMENSION = 16
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "sesame-street-42"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    with QdrantServer(tmp_path / "qdrant") as server:
        yield server


def opened(url: str, *, api_key: str | None = None, dimension: int = DIMENSION, **patience: float):
    patience = {"search_s": 30, "write_s": 30, "prepare_s": 30, "first_open_s": 0.05} | patience
    return QdrantGallery.open(
        QdrantConnection(url, api_key, ServerPatience(most_open_s=0.1, **patience)),
        model_version="test/1",
        dimension=dimension,
    )


def face(number: int, dimension: int = DIMENSION) -> Embedding:
    return np.random.default_rng(number).standard_normal(dimension).astype(np.float32)


def entry(number: int, dimension: int = DIMENSION) -> GalleryEntry:
    return GalleryEntry(
        entry_id=f"e{number}",
        customer_id=CustomerId(f"c{number}"),
        kind=IdentityKind.ANONYMOUS,
        embedding=face(number, dimension),
        quality=0.9,
        first_seen=NOON,
        last_seen=NOON,
        expires_at=None,
        consent=False,
    )


async def until_it_answers(gallery: QdrantGallery) -> int:
    """Return the number of entries, once there is an answer."""
    while True:
        with suppress(GalleryUnavailable):
            return await gallery.count()
        await asyncio.sleep(0.02)


async def until_it_is_left_alone(gallery: QdrantGallery) -> None:
    while True:
        with pytest.raises(GalleryUnavailable) as failure:
            await gallery.search([face(1)], 1)
        if "not called for a moment" in str(failure.value):
            return


async def test_a_killed_server_loses_nothing_it_acknowledged_and_is_found_again(
    server: QdrantServer,
) -> None:
    acknowledged: list[int] = []
    news: asyncio.Queue[int] = asyncio.Queue()

    async def load(gallery: QdrantGallery) -> None:
        for number in range(1_000_000):
            try:
                await gallery.upsert([entry(number)])
            except GalleryUnavailable:
                await until_it_answers(gallery)
            else:
                acknowledged.append(number)
                news.put_nowait(number)

    async with opened(server.url) as gallery:
        loading = asyncio.create_task(load(gallery))
        for _ in range(3):
            for _ in range(50):
                await news.get()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await until_it_answers(gallery)
        loading.cancel()
        await asyncio.wait([loading])
        found = await gallery.search([face(n) for n in acknowledged], 1)

    assert [match.entry_id for [match] in found] == [f"e{n}" for n in acknowledged]


async def test_it_opens_while_the_server_is_away_and_uses_it_when_it_comes(
    server: QdrantServer,
) -> None:
    server.kill()
    async with opened(server.url) as gallery:
        with pytest.raises(GalleryUnavailable):
            await gallery.search([face(1)], 1)
        server.start()
        await until_it_answers(gallery)
        await gallery.upsert([entry(1)])

        [[match]] = await gallery.search([face(1)], 1)

    assert match.customer_id == "c1"


async def test_a_hung_server_is_given_up_in_time_then_left_alone_then_used_again(
    server: QdrantServer,
) -> None:
    async with opened(server.url, search_s=0.2) as gallery:
        await gallery.upsert([entry(1)])
        server.signal(signal.SIGSTOP)
        with pytest.raises(GalleryUnavailable, match=r"did not answer a search within 0\.2 s"):
            await gallery.search([face(1)], 1)
        await until_it_is_left_alone(gallery)
        assert GALLERY_AVAILABILITY.value() == 0
        server.signal(signal.SIGCONT)

        assert await until_it_answers(gallery) == 1
        assert GALLERY_AVAILABILITY.value() == 1


async def test_an_upsert_whose_answer_is_lost_is_repeated_without_doubling(
    server: QdrantServer,
) -> None:
    with Proxy(server.port) as proxy:
        async with opened(f"http://127.0.0.1:{proxy.port}", write_s=0.5) as gallery:
            await gallery.upsert([entry(1)])
            proxy.stall(Way.REPLIES)
            with pytest.raises(GalleryUnavailable, match="did not answer an upsert"):
                await gallery.upsert([entry(2)])
            proxy.heal()
            await until_it_answers(gallery)
            await gallery.upsert([entry(2)])

            assert await gallery.count() == 2


async def test_a_cancelled_search_harms_no_other(server: QdrantServer) -> None:
    async with opened(server.url) as gallery:
        await gallery.upsert([entry(1)])
        server.signal(signal.SIGSTOP)
        cancelled = asyncio.create_task(gallery.search([face(1)], 1))
        waiting = asyncio.create_task(gallery.search([face(1)], 1))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        server.signal(signal.SIGCONT)

        [[match]] = await waiting

    assert cancelled.cancelled()
    assert match.entry_id == "e1"


async def test_resolvers_that_start_together_share_one_collection(server: QdrantServer) -> None:
    async def start(number: int) -> None:
        async with opened(server.url) as gallery:
            await gallery.upsert([entry(number)])

    await asyncio.gather(*(start(number) for number in range(8)))

    async with opened(server.url) as gallery:
        assert await gallery.count() == 8


async def test_shops_of_two_namespaces_never_meet(server: QdrantServer) -> None:
    def shop(namespace: str):
        return QdrantGallery.open(
            QdrantConnection(server.url),
            model_version="test/1",
            dimension=DIMENSION,
            namespace=namespace,
        )

    async with shop("north") as north, shop("south") as south, shop("") as neither:
        await north.upsert([entry(1)])

        assert [await g.count() for g in (north, south, neither)] == [1, 0, 0]


async def test_a_collection_of_another_vector_size_is_refused_telling_both(
    server: QdrantServer,
) -> None:
    async with opened(server.url) as gallery:
        await gallery.upsert([entry(1)])

    with pytest.raises(ConfigurationError, match=r"dimension 16.*dimension 32"):
        async with opened(server.url, dimension=32):
            pass


async def test_a_collection_that_vanished_is_made_anew(server: QdrantServer) -> None:
    async with opened(server.url) as gallery:
        await gallery.upsert([entry(1)])
        await remove(server, gallery)
        with pytest.raises(GalleryUnavailable, match="doesn't exist"):
            await gallery.search([face(1)], 1)
        await gallery.upsert([entry(2)])

        assert await gallery.count() == 1


async def test_a_collection_of_another_size_that_took_its_place_is_noticed(
    server: QdrantServer,
) -> None:
    async with opened(server.url) as gallery:
        await gallery.upsert([entry(1)])
        await remove(server, gallery)
        async with opened(server.url, dimension=32) as other:
            await other.upsert([entry(1, 32)])
        with pytest.raises(GalleryUnavailable, match="dimension"):
            await gallery.upsert([entry(1)])

        with pytest.raises(ConfigurationError, match="embeddings have dimension 16"):
            await gallery.upsert([entry(1)])


async def remove(server: QdrantServer, gallery: QdrantGallery) -> None:
    client = connect(Endpoint.parse(server.url), None, ServerPatience())
    await client.delete_collection(gallery.collection)
    await client.close()


@pytest.mark.parametrize("key", [None, "a wrong one"])
async def test_a_key_that_the_server_refuses_is_told_at_once_and_not_repeated(
    tmp_path: Path, key: str | None
) -> None:
    with QdrantServer(tmp_path, api_key=SECRET) as server:
        with pytest.raises(ConfigurationError, match="TRINETRA_QDRANT_API_KEY") as failure:
            async with opened(server.url, api_key=key):
                pass
        async with opened(server.url, api_key=SECRET) as gallery:
            assert await gallery.count() == 0

    assert SECRET not in str(failure.value)
    assert key is None or key not in str(failure.value)


async def test_a_key_that_may_only_read_is_told_by_the_first_write(tmp_path: Path) -> None:
    with QdrantServer(tmp_path, api_key=SECRET, reading_key="look") as server:
        async with opened(server.url, api_key=SECRET) as gallery:
            await gallery.upsert([entry(1)])
        async with opened(server.url, api_key="look") as gallery:
            [[match]] = await gallery.search([face(1)], 1)
            with pytest.raises(ConfigurationError, match=r"an upsert.*TRINETRA_QDRANT_API_KEY"):
                await gallery.upsert([entry(2)])
            with pytest.raises(ConfigurationError, match=r"a delete.*TRINETRA_QDRANT_API_KEY"):
                await gallery.delete(CustomerId("c1"))

    assert match.entry_id == "e1"


async def test_the_health_page_sees_an_outage_and_its_questions_open_no_circuit(
    server: QdrantServer,
) -> None:
    async with opened(server.url, first_open_s=1_000, search_s=1) as gallery:
        assert isinstance(gallery, Dependency)
        assert gallery.name == "gallery"
        where = f"Qdrant 1.17.0 at {server.url}, collection {gallery.collection}"
        assert await gallery.check() == where
        server.kill()
        for _ in range(5):
            with pytest.raises(GalleryUnavailable, match="a health check"):
                await gallery.check()
        server.start()
        while True:
            with suppress(GalleryUnavailable):
                assert await gallery.check() == where
                break
            await asyncio.sleep(0.02)

        assert await gallery.count() == 0  # at once: nothing was left alone


async def test_the_health_page_does_not_wait_long_for_a_hung_server(server: QdrantServer) -> None:
    async with opened(server.url, search_s=0.2) as gallery:
        server.signal(signal.SIGSTOP)
        with pytest.raises(GalleryUnavailable, match="did not answer a health check"):
            await gallery.check()
        server.signal(signal.SIGCONT)


@pytest.mark.parametrize("key", [f"{SECRET}\n", f"{SECRET}\N{SNOWMAN}"])
async def test_a_key_that_no_header_may_have_is_told_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError, match="line break") as failure:
        async with opened("http://127.0.0.1:6334", api_key=key):
            pass

    assert SECRET not in str(failure.value)


async def test_a_server_that_came_late_and_wants_another_key_is_told_by_the_first_call(
    tmp_path: Path,
) -> None:
    with QdrantServer(tmp_path, api_key=SECRET) as server:
        server.kill()
        async with opened(server.url) as gallery:
            server.start()
            with pytest.raises(ConfigurationError, match="refused the first call"):
                await until_it_answers(gallery)


async def test_a_server_too_old_for_this_client_is_refused_telling_both_versions(
    tmp_path: Path,
) -> None:
    with (
        QdrantServer(tmp_path, version="1.9.7") as server,
        pytest.raises(ConfigurationError, match=r"version 1\.9\.7, but 1\.16 or newer"),
    ):
        async with opened(server.url):
            pass


async def test_points_that_are_not_ours_are_told(server: QdrantServer) -> None:
    async with opened(server.url) as gallery:
        await gallery.upsert([entry(1)])
        client = connect(Endpoint.parse(server.url), None, ServerPatience())
        await client.upsert(gallery.collection, [foreign_point()])
        await client.close()

        with pytest.raises(ConfigurationError, match="was not written by TRINETRA"):
            await gallery.search([face(1)], 5)
        with pytest.raises(ConfigurationError, match="was not written by TRINETRA"):
            [batch async for batch in gallery.entries(10)]


def foreign_point() -> PointStruct:
    return PointStruct(id="0" * 32, vector=[1.0] * DIMENSION, payload={"colour": "red"})


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("qdrant:6334", "does not begin"),
        ("redis://qdrant:6334", "does not begin"),
        ("http://", "does not begin"),
        ("http://qdrant:six", "not a URL"),
        ("http://qdrant:6333", "REST port"),
        ("http://qdrant:6334/collections", "after the port"),
        (f"http://me:{SECRET}@qdrant:6334", "TRINETRA_QDRANT_API_KEY"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_secrets(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as failure:
        Endpoint.parse(url)

    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://qdrant", Endpoint("qdrant", 6334, secure=False)),
        ("https://qdrant.example:443/", Endpoint("qdrant.example", 443, secure=True)),
        ("http://[::1]:7000", Endpoint("::1", 7000, secure=False)),
    ],
)
def test_a_url_names_host_port_and_whether_to_encrypt(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint
