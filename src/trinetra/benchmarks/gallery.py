"""Speed, recall and size of a gallery: ``run_edge(size)``, ``run_server(size, ...)``.

The entries are random directions, the queries noisy copies of some (cosine about 0.7), so the
right answer is known and the distractors are as hard as unrelated faces are.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trinetra.adapters.qdrant.connection import ServerPatience
from trinetra.adapters.qdrant.gallery import QdrantConnection, QdrantGallery
from trinetra.adapters.qdrant_edge.gallery import EdgeGallery, GalleryTimeouts
from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.ports import Gallery
from trinetra.values import CustomerId, GalleryEntry, IdentityKind

_SEEN = datetime(2026, 1, 1, tzinfo=UTC)
_EXPIRED = _SEEN + timedelta(seconds=1)
_QUERIES = 1_000
_BATCH = 8
_K = 5
_BUILD_CHUNK = 2_000
_MODEL = "benchmark"
# The benchmark measures durations, so the deadlines of production must not cut them.
_TIMEOUTS = GalleryTimeouts(request_s=300, hung_s=600)
_PATIENCE = ServerPatience(search_s=60, write_s=300, prepare_s=60)


def run_edge(size: int, dimension: int = 512) -> dict[str, Any]:
    """Build an embedded gallery of ``size`` entries in a temporary folder; return its figures.

    Times are in milliseconds as seen by the caller, including the transport to the engine;
    ``search_cpu_ms`` is what a search costs the caller's own process.
    """
    with tempfile.TemporaryDirectory(prefix="trinetra-gallery-") as folder:
        return asyncio.run(_measure_edge(Path(folder), size, dimension))


def run_server(size: int, url: str, *, api_key: str | None, dimension: int = 512) -> dict[str, Any]:
    """Build a gallery on a server, in a separate collection that is emptied again."""
    return asyncio.run(_measure_server(size, url, api_key, dimension))


async def _measure_edge(folder: Path, size: int, dimension: int) -> dict[str, Any]:
    tuning = GalleryTuning(index_at_latest=_BUILD_CHUNK)
    async with EdgeGallery.open(
        folder, model_version=_MODEL, dimension=dimension, tuning=tuning, timeouts=_TIMEOUTS
    ) as gallery:
        figures = await _measure(gallery, size, dimension)
        closing = time.perf_counter()
    figures["close_s"] = round(time.perf_counter() - closing, 3)
    figures["disk_bytes"] = _disk_bytes(folder)
    opening = time.perf_counter()
    async with EdgeGallery.open(folder, model_version=_MODEL, dimension=dimension):
        figures["reopen_s"] = round(time.perf_counter() - opening, 3)
    return figures


async def _measure_server(
    size: int, url: str, api_key: str | None, dimension: int
) -> dict[str, Any]:
    async with QdrantGallery.open(
        QdrantConnection(url, api_key, _PATIENCE),
        model_version=f"{_MODEL}-{dimension}",
        dimension=dimension,
        namespace=_MODEL,
    ) as gallery:
        await gallery.delete_expired(_EXPIRED)
        try:
            return await _measure(gallery, size, dimension)
        finally:
            await gallery.delete_expired(_EXPIRED)


async def _measure(gallery: Gallery, size: int, dimension: int) -> dict[str, Any]:
    random = np.random.default_rng(7)
    queries = _queries(random, size, dimension)
    # Before anything is measured: it takes both cores.
    nearest = _nearest(queries, size, dimension)
    return {
        "entries": size,
        "dimension": dimension,
        "build_s": await _build(gallery, size, dimension),
        **await _search_alone(gallery, queries, nearest),
        **await _search_while_upserting(gallery, queries, random),
    }


def _chunks(size: int, dimension: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the faces in parts, each with the number of its first, always the same ones.

    They are generated again each time: a million would not fit into memory beside the engine.
    """
    for first in range(0, size, _BUILD_CHUNK):
        random = np.random.default_rng((7, first))
        count = min(_BUILD_CHUNK, size - first)
        yield first, _unit(random.standard_normal((count, dimension), np.float32))


def _queries(random: np.random.Generator, size: int, dimension: int) -> NDArray[np.float32]:
    """Return noisy copies of some of the faces."""
    targets = np.sort(random.integers(0, size, _QUERIES))
    parts = []
    for first, faces in _chunks(size, dimension):
        begin, end = np.searchsorted(targets, [first, first + len(faces)])
        parts.append(faces[targets[begin:end] - first])
    clear = random.permutation(np.concatenate(parts))
    return _unit(clear + _unit(random.standard_normal((_QUERIES, dimension), np.float32)))


def _nearest(queries: NDArray[np.float32], size: int, dimension: int) -> NDArray[np.intp]:
    """Return the number of the face nearest to each query, by an exact search."""
    nearest = np.zeros(len(queries), np.intp)
    highest = np.full(len(queries), -np.inf, np.float32)
    for first, faces in _chunks(size, dimension):
        cosine = queries @ faces.T
        best = cosine.argmax(axis=1)
        score = cosine[np.arange(len(queries)), best]
        nearest = np.where(score > highest, first + best, nearest)
        highest = np.maximum(score, highest)
    return nearest


def _disk_bytes(folder: Path) -> int:
    """Return what the files occupy; the engine's are sparse, so their lengths say little."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def _entry(number: int, face: NDArray[np.float32]) -> GalleryEntry:
    customer = CustomerId(f"customer_{number}")
    return GalleryEntry(
        str(number),
        customer,
        IdentityKind.ANONYMOUS,
        face,
        0.8,
        _SEEN,
        _SEEN,
        _EXPIRED,
        consent=False,
    )


async def _build(gallery: Gallery, size: int, dimension: int) -> float:
    spent_s = 0.0
    for first, faces in _chunks(size, dimension):
        entries = [_entry(first + i, face) for i, face in enumerate(faces)]
        began = time.perf_counter()
        await gallery.upsert(entries)
        spent_s += time.perf_counter() - began
    began = time.perf_counter()
    await gallery.count()  # answered once the last step of the index is built
    return round(spent_s + time.perf_counter() - began, 3)


async def _search_alone(
    gallery: Gallery, queries: NDArray[np.float32], nearest: NDArray[np.intp]
) -> dict[str, Any]:
    times, right = [], 0
    cpu_s = time.process_time()
    for query, expected in zip(queries, nearest, strict=True):
        started = time.perf_counter()
        [matches] = await gallery.search([query], _K)
        times.append(time.perf_counter() - started)
        right += matches[0].entry_id == str(expected)
    cpu_s = time.process_time() - cpu_s
    batches = []
    for first in range(0, len(queries), _BATCH):
        started = time.perf_counter()
        await gallery.search(list(queries[first : first + _BATCH]), _K)
        batches.append(time.perf_counter() - started)
    return {
        "recall_at_1": right / len(queries),
        "search_cpu_ms": round(cpu_s / len(queries) * 1e3, 3),
        **_percentiles("search", times),
        **_percentiles(f"search_batch_of_{_BATCH}", batches),
    }


async def _search_while_upserting(
    gallery: Gallery, queries: NDArray[np.float32], random: np.random.Generator
) -> dict[str, Any]:
    upserts: list[float] = []
    known = await gallery.count()

    async def keep_upserting() -> None:
        for face in _unit(random.standard_normal((_QUERIES, queries.shape[1]))):
            started = time.perf_counter()
            await gallery.upsert([_entry(known + len(upserts), face)])
            upserts.append(time.perf_counter() - started)

    searches: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        upserting = tasks.create_task(keep_upserting())
        while not upserting.done():
            started = time.perf_counter()
            await gallery.search([queries[len(searches) % len(queries)]], _K)
            searches.append(time.perf_counter() - started)
    return {
        **_percentiles("search_while_upserting", searches),
        **_percentiles("upsert_while_searching", upserts),
    }


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {f"{name}_p50_ms": round(float(p50), 3), f"{name}_p99_ms": round(float(p99), 3)}
