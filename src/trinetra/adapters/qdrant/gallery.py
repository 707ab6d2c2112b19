"""Gallery on a Qdrant server, over gRPC, shared by all resolvers of a shop.

It may be opened while the server is down. Until the server answers, every call raises
GalleryUnavailable, immediately after a few consecutive failures, and people are reported as
unknown.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from qdrant_client import models
from qdrant_client.async_client_base import AsyncQdrantBase

from trinetra.adapters.qdrant.collection import ServerTuning, collection_name, prepare
from trinetra.adapters.qdrant.connection import (
    Denied,
    Endpoint,
    GuardedCalls,
    Refused,
    ServerPatience,
    connect,
)
from trinetra.adapters.qdrant.points import (
    CUSTOMER_ID,
    EXPIRES_AT,
    PAYLOAD_OF_A_MATCH,
    StoredPoint,
    floats,
    gallery_entry,
    gallery_match,
    pack_floats,
    pack_vector,
    payload_of,
    point_id,
    point_of,
    stored_point,
)
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.telemetry import get_logger
from trinetra.values import CustomerId, Embedding, GalleryEntry, GalleryMatch, Instant, microseconds

_POINTS_PER_MESSAGE = 256
T = TypeVar("T")

log = get_logger("gallery")


@dataclass(frozen=True, slots=True)
class QdrantConnection:
    """Where a Qdrant server is, how to log in there, and how long to wait for it."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    patience: ServerPatience = field(default_factory=ServerPatience)


class QdrantGallery:
    """A Gallery on a Qdrant server; create one with ``open``.

    ``client`` may be any client of qdrant-client: the remote one, or its local mode in tests.
    ``where`` names the server in error messages.
    """

    name = "gallery"

    def __init__(
        self,
        client: AsyncQdrantBase,
        collection: str,
        dimension: int,
        *,
        tuning: ServerTuning | None = None,
        patience: ServerPatience | None = None,
        where: str = "in this process",
    ) -> None:
        self._client = client
        self.collection = collection
        self._dimension = dimension
        self._tuning = tuning or ServerTuning()
        self._patience = patience or ServerPatience()
        self._where = where
        self._is_prepared = asyncio.Event()
        self._preparing = asyncio.Lock()
        self._calls = GuardedCalls(where, self._patience)
        self._search_params = models.SearchParams(
            hnsw_ef=self._tuning.ef_search,
            quantization=models.QuantizationSearchParams(
                rescore=True, oversampling=self._tuning.oversampling
            ),
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        server: QdrantConnection,
        *,
        model_version: str,
        dimension: int,
        namespace: str = "",
        tuning: ServerTuning | None = None,
    ) -> AsyncIterator["QdrantGallery"]:
        """Open the collection of one embedding model version; create it if necessary.

        Raises ConfigurationError for an unusable URL, API key, server version or collection; if
        the server is down now, the first call that reaches it raises the error instead.
        """
        endpoint, patience = Endpoint.parse(server.url), server.patience
        name = collection_name(namespace, model_version)
        client = connect(endpoint, server.api_key, patience)
        where = str(endpoint)
        gallery = cls(client, name, dimension, tuning=tuning, patience=patience, where=where)
        try:
            await gallery._try_to_prepare()
            yield gallery
        finally:
            await client.close()

    async def check(self) -> str:
        """Return the server's version and address. Raises GalleryUnavailable if it is down."""
        # Shorter than a search's deadline, so that the health page shows this error and not its
        # own timeout.
        timeout_s = 0.8 * self._patience.search_s
        info = await self._calls.look("a health check", timeout_s, self._client.info)
        return f"Qdrant {info.version} at {self._where}, collection {self.collection}"

    async def search(self, embeddings: Sequence[Embedding], k: int) -> list[list[GalleryMatch]]:
        """Return the ``k`` nearest entries of each embedding, best first."""
        vectors = [pack_vector(embedding, self._dimension) for embedding in embeddings]
        if not vectors or k < 1:
            return [[] for _ in vectors]
        requests = [self._query(vector, k) for vector in vectors]
        found = await self._call(
            "a search",
            self._patience.search_s,
            lambda: self._client.query_batch_points(self.collection, requests),
        )
        return [[self._match(point) for point in response.points] for response in found]

    async def get(self, entry_ids: Sequence[str]) -> list[GalleryEntry]:
        """Return the entries with these ids; ids without an entry are omitted."""
        ids: list[models.ExtendedPointId] = [point_id(entry_id) for entry_id in set(entry_ids)]
        if not ids:
            return []
        records = await self._call(
            "a read",
            self._patience.search_s,
            lambda: self._client.retrieve(
                self.collection, ids, with_payload=True, with_vectors=True
            ),
        )
        return [self._entry(record) for record in records]

    async def upsert(self, entries: Sequence[GalleryEntry]) -> None:
        """Insert or replace entries by ``entry_id``; they are on the server's disk on return."""
        points = [_point(stored_point(entry, self._dimension)) for entry in entries]
        for start in range(0, len(points), _POINTS_PER_MESSAGE):
            await self._upsert(points[start : start + _POINTS_PER_MESSAGE])

    async def delete(self, customer_id: CustomerId) -> int:
        """Delete every entry of an identity; return how many there were."""
        return await self._delete(
            models.FieldCondition(key=CUSTOMER_ID, match=models.MatchValue(value=customer_id))
        )

    async def delete_expired(self, now: Instant) -> int:
        """Delete the entries whose ``expires_at`` is not after ``now``; return how many."""
        return await self._delete(
            models.FieldCondition(key=EXPIRES_AT, range=models.Range(lte=float(microseconds(now))))
        )

    async def purge(self) -> bool:
        """Return False: the server decides when it rewrites its files."""
        return False

    async def count(self) -> int:
        """Return the number of entries."""
        return await self._count(None)

    async def entries(
        self, batch_size: int = _POINTS_PER_MESSAGE
    ) -> AsyncIterator[list[GalleryEntry]]:
        """Yield every entry, in batches; changes made meanwhile may or may not be included."""
        start: models.ExtendedPointId | None = None
        while True:
            records, start = await self._scroll(start, batch_size)
            if records:
                yield [self._entry(record) for record in records]
            if start is None:
                return

    def _query(self, vector: bytes, k: int) -> models.QueryRequest:
        return models.QueryRequest(
            query=models.NearestQuery(nearest=floats(vector)),
            limit=k,
            params=self._search_params,
            with_payload=PAYLOAD_OF_A_MATCH,
        )

    async def _upsert(self, points: list[models.PointStruct]) -> None:
        await self._write(
            "an upsert",
            lambda: self._client.upsert(self.collection, points, wait=True),
        )

    async def _delete(self, condition: models.FieldCondition) -> int:
        selected = models.Filter(must=[condition])
        number = await self._count(selected)
        if number:
            selector = models.FilterSelector(filter=selected)
            await self._write(
                "a delete",
                lambda: self._client.delete(self.collection, selector, wait=True),
            )
        return number

    async def _count(self, condition: models.Filter | None) -> int:
        counted = await self._call(
            "a count",
            self._patience.write_s,
            lambda: self._client.count(self.collection, count_filter=condition, exact=True),
        )
        return counted.count

    async def _scroll(
        self, start: models.ExtendedPointId | None, limit: int
    ) -> tuple[list[models.Record], models.ExtendedPointId | None]:
        return await self._call(
            "a read",
            self._patience.write_s,
            lambda: self._client.scroll(
                self.collection, limit=limit, offset=start, with_payload=True, with_vectors=True
            ),
        )

    def _match(self, point: models.ScoredPoint) -> GalleryMatch:
        try:
            return gallery_match(**(point.payload or {}), cosine=point.score)
        except (TypeError, ValueError) as cause:
            raise self._foreign(point.id) from cause

    def _entry(self, record: models.Record) -> GalleryEntry:
        try:
            return gallery_entry(point_of(record.payload, pack_floats(record.vector)))
        except (msgspec.ValidationError, ValueError) as cause:
            raise self._foreign(record.id) from cause

    def _foreign(self, where: models.ExtendedPointId) -> ConfigurationError:
        return ConfigurationError(
            f"the point {where} in the collection {self.collection} on {self._where} was not "
            "written by TRINETRA; delete it, or set another TRINETRA_NAMESPACE"
        )

    async def _try_to_prepare(self) -> None:
        try:
            await self._prepare()
        except GalleryUnavailable as cause:
            log.warning(
                "the gallery is unavailable; people are unknown until it is back", why=str(cause)
            )

    async def _prepare(self) -> None:
        """Create or check the collection, unless that was done since the server last refused."""
        if self._is_prepared.is_set():
            return
        async with self._preparing:
            if not self._is_prepared.is_set():
                await self._prepare_now()
                self._is_prepared.set()

    async def _prepare_now(self) -> None:
        try:
            await self._calls.make(
                "the first call",
                self._patience.prepare_s,
                lambda: prepare(
                    self._client, self.collection, self._dimension, self._tuning, self._where
                ),
            )
        except Denied as cause:
            raise _wrong_key(cause) from cause

    async def _write(self, what: str, send: Callable[[], Awaitable[object]]) -> None:
        """Make a call that changes data; this is where a read-only API key fails."""
        try:
            await self._call(what, self._patience.write_s, send)
        except Denied as cause:
            # Not an outage: retries would never succeed, and pending writes would accumulate.
            raise _wrong_key(cause) from cause

    async def _call(self, what: str, timeout_s: float, send: Callable[[], Awaitable[T]]) -> T:
        await self._prepare()
        try:
            return await self._calls.make(what, timeout_s, send)
        except Refused:
            # The API key or the collection may have changed; the next call checks both again.
            self._is_prepared.clear()
            raise


def _wrong_key(cause: Denied) -> ConfigurationError:
    return ConfigurationError(
        f"{cause}; set TRINETRA_QDRANT_API_KEY to a key of that server with write access"
    )


def _point(point: StoredPoint) -> models.PointStruct:
    return models.PointStruct(
        id=str(point_id(point.entry_id)), vector=floats(point.vector), payload=payload_of(point)
    )
