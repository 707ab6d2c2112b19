"""Points in one folder, stored and searched by the Qdrant engine."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import qdrant_edge as qdrant

from trinetra.adapters.qdrant.points import (
    CUSTOMER_ID,
    EXPIRES_AT,
    KIND,
    PAYLOAD_OF_A_MATCH,
    StoredPoint,
    floats,
    pack_floats,
    payload_of,
    point_id,
    point_of,
)
from trinetra.adapters.qdrant_edge.protocol import (
    Failure,
    Found,
    GalleryTuning,
    Match,
    Page,
    Search,
)

_BYTES_PER_VALUE = 4
_KIB = 1024
# Opening and deleting write little, and deleting helps when the disk is full.
_SMALL_SHARE_OF_RESERVE = 8
_PAYLOAD_INDEXES = {
    CUSTOMER_ID: qdrant.PayloadSchemaType.Keyword,
    KIND: qdrant.PayloadSchemaType.Keyword,
    EXPIRES_AT: qdrant.PayloadSchemaType.Integer,
}


class Refusal(Exception):
    """A request that cannot be executed, with the reason to send back."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure


def engine_config(dimension: int, tuning: GalleryTuning) -> qdrant.EdgeConfig:
    """Return a cosine HNSW index over int8 codes, with the float32 vectors kept for rescoring."""
    kib_per_point = dimension * _BYTES_PER_VALUE / _KIB
    return qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(size=dimension, distance=qdrant.Distance.Cosine),
        hnsw_config=qdrant.HnswIndexConfig(
            m=tuning.m, ef_construct=tuning.ef_construct, full_scan_threshold=1_000
        ),
        quantization_config=qdrant.ScalarQuantizationConfig(
            type=qdrant.ScalarType.Int8, quantile=0.99, memory=qdrant.Memory.Pinned
        ),
        optimizers=qdrant.EdgeOptimizersConfig(
            default_segment_number=1,
            # Just below the step, so that rounding never leaves a step unindexed.
            indexing_threshold=max(1, int(0.9 * tuning.index_after * kib_per_point)),
            max_segment_size=max(1, int(tuning.segment_points * kib_per_point)),
        ),
    )


def of_customer(customer_id: str) -> qdrant.Filter:
    """Return the filter for the points of a customer."""
    return _must(qdrant.FieldCondition(CUSTOMER_ID, match=qdrant.MatchValue(customer_id)))


def expired_at(now_us: int) -> qdrant.Filter:
    """Return the filter for points that expired at or before ``now_us``."""
    return _must(qdrant.FieldCondition(EXPIRES_AT, range=qdrant.RangeFloat(lte=float(now_us))))


def _must(condition: qdrant.FieldCondition) -> qdrant.Filter:
    return qdrant.Filter(must=[condition])


class Points:
    """A folder of points; every method may raise Refusal."""

    def __init__(self, folder: Path, dimension: int, tuning: GalleryTuning) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._tuning = tuning
        self._params = qdrant.SearchParams(
            hnsw_ef=tuning.ef_search,
            quantization=qdrant.QuantizationSearchParams(
                rescore=True, oversampling=tuning.oversampling
            ),
        )
        self.require_space(tuning.reserve_bytes // _SMALL_SHARE_OF_RESERVE)
        self._engine = self._load(dimension)
        self._create_missing_payload_indexes()
        info = self._engine.info()
        self.unindexed = info.points_count - info.indexed_vectors_count

    def _load(self, dimension: int) -> qdrant.EdgeShard:
        config = engine_config(dimension, self._tuning)
        try:
            return qdrant.EdgeShard.load(str(self._folder), config)
        except Exception as cause:
            failure = Failure.UNREADABLE
            if "incompatible with existing segments" in str(cause):
                failure = Failure.INCOMPATIBLE
            raise Refusal(failure, str(cause)) from cause

    def _create_missing_payload_indexes(self) -> None:
        for field in _PAYLOAD_INDEXES.keys() - self._engine.info().payload_schema.keys():
            self._update(qdrant.UpdateOperation.create_field_index(field, _PAYLOAD_INDEXES[field]))

    def search(self, searches: Sequence[Search]) -> list[Found]:
        """Return the matches of several searches, executed as one batch of the engine."""
        queries = [
            self._query(vector, search.k) for search in searches for vector in search.vectors
        ]
        try:
            scored = iter(self._engine.query_batch(qdrant.QueryBatchRequest(queries)))
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the search failed: {cause}") from cause
        return [Found([_matches(next(scored)) for _ in search.vectors]) for search in searches]

    def _query(self, vector: bytes, k: int) -> qdrant.QueryRequest:
        return qdrant.QueryRequest(
            limit=k,
            query=qdrant.Query.Nearest(floats(vector)),
            with_payload=PAYLOAD_OF_A_MATCH,
            params=self._params,
        )

    def upsert(self, points: Sequence[StoredPoint]) -> int:
        """Insert or replace points; they are in the write-ahead log when this returns."""
        self.require_space(self._tuning.reserve_bytes)
        self._update(qdrant.UpdateOperation.upsert_points([_engine_point(p) for p in points]))
        self.unindexed += len(points)
        return len(points)

    def delete(self, condition: qdrant.Filter) -> None:
        """Mark matching points as deleted; their bytes stay in the files.

        Also raises Refusal if points remain although the engine reported no error: it silently
        skips operations that it considers older than its points, and an erasure that did not happen
        must not be confirmed.
        """
        self.require_space(self._tuning.reserve_bytes // _SMALL_SHARE_OF_RESERVE)
        self._update(qdrant.UpdateOperation.delete_points_by_filter(condition))
        if left := self.count(condition):
            raise Refusal(Failure.REFUSED, f"{left} entries remain after their deletion")

    def count(self, condition: qdrant.Filter | None = None) -> int:
        """Return the number of points, or of those that match ``condition``."""
        try:
            return int(self._engine.count(qdrant.CountRequest(exact=True, filter=condition)))
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the count failed: {cause}") from cause

    def scroll(self, start: str | None, limit: int) -> Page:
        """Return up to ``limit`` points in the order of their ids, and the id of the next one."""
        request = qdrant.ScrollRequest(
            offset=UUID(start) if start else None, limit=limit, with_payload=True, with_vector=True
        )
        try:
            records, next_start = self._engine.scroll(request)
            points = [point_of(r.payload, pack_floats(r.vector)) for r in records]
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the read failed: {cause}") from cause
        return Page(points, None if next_start is None else str(next_start))

    def get(self, entry_ids: Sequence[str]) -> Page:
        """Return the points of these entries, as far as they exist."""
        ids: list[int | UUID | str] = [point_id(entry_id) for entry_id in entry_ids]
        try:
            records = self._engine.retrieve(ids, with_payload=True, with_vector=True)
            points = [point_of(r.payload, pack_floats(r.vector)) for r in records]
        except Exception as cause:
            raise Refusal(Failure.REFUSED, f"the read failed: {cause}") from cause
        return Page(points, None)

    def flush(self) -> None:
        """Sync everything to disk, and truncate the write-ahead log."""
        self._engine.flush()

    def index(self) -> None:
        """Index new points, unless the disk has no space for the copies that indexing makes."""
        if self._free_bytes() > self._tuning.reserve_bytes:
            self._engine.optimize()
            self._engine.flush()  # until then the old segments stay on disk and are loaded again
        self.unindexed = 0

    def close(self) -> None:
        """Flush and release the folder."""
        self._engine.flush()
        self._engine.close()

    def _update(self, operation: qdrant.UpdateOperation) -> None:
        try:
            self._engine.update(operation)
        except Exception as cause:
            full = "No space left" in str(cause)
            raise Refusal(
                Failure.STORAGE_FULL if full else Failure.REFUSED, f"the write failed: {cause}"
            ) from cause

    def require_space(self, bytes_: int) -> None:
        """Raise Refusal when less than ``bytes_`` is free on the disk."""
        free = self._free_bytes()
        if free < bytes_:
            raise Refusal(
                Failure.STORAGE_FULL,
                f"{free >> 20} MiB are free, but {bytes_ >> 20} MiB are required",
            )

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free


def _engine_point(point: StoredPoint) -> qdrant.Point:
    return qdrant.Point(point_id(point.entry_id), floats(point.vector), payload_of(point))


def _matches(scored: Sequence[qdrant.ScoredPoint]) -> list[Match]:
    return [Match(**(point.payload or {}), cosine=point.score) for point in scored]
