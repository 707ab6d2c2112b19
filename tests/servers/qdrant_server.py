"""gRPC server on the embedded engine for the part of Qdrant's protocol that the gallery uses.

``python tests/servers/qdrant_server.py --folder F [--port P]`` prints ``ready on PORT`` and serves
until it is killed; acknowledged writes are in the engine's write-ahead log. It replaces a Qdrant
server where none is available: protocol, deadlines, kills, stalls and restarts are real, but the
server's own code (optimizer, clustering, access rules) is missing.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import grpc
import qdrant_edge as engine
from google.protobuf.message import Message
from qdrant_client import grpc as qdrant
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

VERSION = "1.17.0"
_CREATED_AS = "created.pb"
_INDEX_AFTER = 2_000
_SCHEMAS = {
    qdrant.FieldType.FieldTypeKeyword: engine.PayloadSchemaType.Keyword,
    qdrant.FieldType.FieldTypeInteger: engine.PayloadSchemaType.Integer,
}
_TOLD_SCHEMAS = {
    engine.PayloadSchemaType.Keyword: qdrant.PayloadSchemaType.Keyword,
    engine.PayloadSchemaType.Integer: qdrant.PayloadSchemaType.Integer,
}
_OPTIONS = [("grpc.so_reuseport", 0)]
_CHANGES = (
    qdrant.CreateCollection,
    qdrant.DeleteCollection,
    qdrant.UpsertPoints,
    qdrant.DeletePoints,
    qdrant.CreateFieldIndexCollection,
)


class Refused(Exception):
    """Raised for a request that is answered with an error."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Collection:
    """A folder with a shard of the engine, and the request that created it."""

    def __init__(self, folder: Path, created: qdrant.CreateCollection) -> None:
        self.created = created
        shard = folder / "shard"
        if shard.exists():
            self.shard = engine.EdgeShard.load(str(shard), _config(created))
        else:
            self.shard = engine.EdgeShard.create(str(shard), _config(created))
        (folder / _CREATED_AS).write_bytes(created.SerializeToString())
        self._unindexed = 0

    @classmethod
    def load(cls, folder: Path) -> Self:
        created = qdrant.CreateCollection.FromString((folder / _CREATED_AS).read_bytes())
        return cls(folder, created)

    def describe(self) -> qdrant.CollectionInfo:
        created, info = self.created, self.shard.info()
        hnsw = qdrant.HnswConfigDiff(full_scan_threshold=10_000, max_indexing_threads=0)
        hnsw.MergeFrom(created.hnsw_config)
        return qdrant.CollectionInfo(
            status=qdrant.CollectionStatus.Green,
            optimizer_status=qdrant.OptimizerStatus(ok=True),
            segments_count=info.segments_count,
            points_count=info.points_count,
            indexed_vectors_count=info.indexed_vectors_count,
            config=qdrant.CollectionConfig(
                params=qdrant.CollectionParams(
                    shard_number=1, vectors_config=created.vectors_config
                ),
                hnsw_config=hnsw,
                optimizer_config=qdrant.OptimizersConfigDiff(
                    deleted_threshold=0.2,
                    vacuum_min_vector_number=1_000,
                    default_segment_number=1,
                    flush_interval_sec=5,
                ),
                wal_config=qdrant.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
                quantization_config=created.quantization_config,
            ),
            payload_schema={
                field: qdrant.PayloadSchemaInfo(data_type=_TOLD_SCHEMAS[index.data_type])
                for field, index in info.payload_schema.items()
            },
        )

    def upsert(self, points: list[qdrant.PointStruct]) -> None:
        size = self.created.vectors_config.params.size
        for point in points:
            if (given := len(point.vectors.vector.dense.data)) != size:
                reason = f"Wrong input: Vector dimension error: expected dim: {size}, got {given}"
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, reason)
        self.shard.update(engine.UpdateOperation.upsert_points([_point(p) for p in points]))
        self._unindexed += len(points)
        if self._unindexed >= _INDEX_AFTER:
            self.shard.optimize()
            self._unindexed = 0

    def query(self, requests: list[qdrant.QueryPoints]) -> list[list[engine.ScoredPoint]]:
        return self.shard.query_batch(engine.QueryBatchRequest([_query(r) for r in requests]))

    def count(self, condition: engine.Filter | None) -> int:
        return self.shard.count(engine.CountRequest(exact=True, filter=condition))


class Store:
    """All collections of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.collections = {
            created.parent.name: Collection.load(created.parent)
            for created in folder.glob(f"*/{_CREATED_AS}")
        }

    def create(self, request: qdrant.CreateCollection) -> None:
        name = request.collection_name
        if name in self.collections:
            reason = f"Wrong input: Collection `{name}` already exists!"
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, reason)
        folder = self._folder / name
        folder.mkdir()
        self.collections[name] = Collection(folder, request)

    def drop(self, name: str) -> bool:
        collection = self.collections.pop(name, None)
        if collection is not None:
            collection.shard.close()
            shutil.rmtree(self._folder / name)
        return collection is not None

    def __getitem__(self, name: str) -> Collection:
        if name not in self.collections:
            reason = f"Not found: Collection `{name}` doesn't exist!"
            raise Refused(grpc.StatusCode.NOT_FOUND, reason)
        return self.collections[name]

    def close(self) -> None:
        for collection in self.collections.values():
            collection.shard.flush()
            collection.shard.close()


class LookupResults:
    """Answers requests; each method has the name of its method in the protocol."""

    def __init__(self, store: Store, version: str) -> None:
        self._store = store
        self._version = version
        self.of_services = {
            "qdrant.Qdrant": {"HealthCheck": (self.health, qdrant.HealthCheckRequest)},
            "qdrant.Collections": {
                "CollectionExists": (self.exists, qdrant.CollectionExistsRequest),
                "Create": (self.create, qdrant.CreateCollection),
                "Delete": (self.drop, qdrant.DeleteCollection),
                "Get": (self.describe, qdrant.GetCollectionInfoRequest),
            },
            "qdrant.Points": {
                "Upsert": (self.upsert, qdrant.UpsertPoints),
                "Delete": (self.delete, qdrant.DeletePoints),
                "Count": (self.count, qdrant.CountPoints),
                "QueryBatch": (self.query, qdrant.QueryBatchPoints),
                "Get": (self.get, qdrant.GetPoints),
                "Scroll": (self.scroll, qdrant.ScrollPoints),
                "CreateFieldIndex": (self.index, qdrant.CreateFieldIndexCollection),
            },
        }

    def health(self, _request: qdrant.HealthCheckRequest) -> qdrant.HealthCheckReply:
        return qdrant.HealthCheckReply(title="qdrant - vector search engine", version=self._version)

    def exists(self, request: qdrant.CollectionExistsRequest) -> qdrant.CollectionExistsResponse:
        exists = request.collection_name in self._store.collections
        return qdrant.CollectionExistsResponse(result=qdrant.CollectionExists(exists=exists))

    def create(self, request: qdrant.CreateCollection) -> qdrant.CollectionOperationResponse:
        self._store.create(request)
        return qdrant.CollectionOperationResponse(result=True)

    def drop(self, request: qdrant.DeleteCollection) -> qdrant.CollectionOperationResponse:
        return qdrant.CollectionOperationResponse(result=self._store.drop(request.collection_name))

    def describe(self, request: qdrant.GetCollectionInfoRequest) -> Message:
        info = self._store[request.collection_name].describe()
        return qdrant.GetCollectionInfoResponse(result=info)

    def upsert(self, request: qdrant.UpsertPoints) -> Message:
        self._store[request.collection_name].upsert(list(request.points))
        return _done()

    def delete(self, request: qdrant.DeletePoints) -> Message:
        selected = _filter(request.points.filter)
        operation = engine.UpdateOperation.delete_points_by_filter(selected)
        self._store[request.collection_name].shard.update(operation)
        return _done()

    def count(self, request: qdrant.CountPoints) -> qdrant.CountResponse:
        condition = _filter(request.filter) if request.HasField("filter") else None
        count = self._store[request.collection_name].count(condition)
        return qdrant.CountResponse(result=qdrant.CountResult(count=count))

    def query(self, request: qdrant.QueryBatchPoints) -> qdrant.QueryBatchResponse:
        collection = self._store[request.collection_name]
        found = collection.query(list(request.query_points))
        return qdrant.QueryBatchResponse(
            result=[qdrant.BatchResult(result=[_scored(p) for p in points]) for points in found]
        )

    def get(self, request: qdrant.GetPoints) -> qdrant.GetResponse:
        records = self._store[request.collection_name].shard.retrieve(
            [UUID(point.uuid) for point in request.ids],
            with_payload=request.with_payload.enable,
            with_vector=request.with_vectors.enable,
        )
        return qdrant.GetResponse(result=[_retrieved(record) for record in records])

    def scroll(self, request: qdrant.ScrollPoints) -> qdrant.ScrollResponse:
        wanted = engine.ScrollRequest(
            offset=UUID(request.offset.uuid) if request.HasField("offset") else None,
            limit=request.limit,
            with_payload=request.with_payload.enable,
            with_vector=request.with_vectors.enable,
        )
        records, next_start = self._store[request.collection_name].shard.scroll(wanted)
        return qdrant.ScrollResponse(
            result=[_retrieved(record) for record in records],
            next_page_offset=None if next_start is None else _id(next_start),
        )

    def index(self, request: qdrant.CreateFieldIndexCollection) -> Message:
        schema = _SCHEMAS[request.field_type]
        operation = engine.UpdateOperation.create_field_index(request.field_name, schema)
        self._store[request.collection_name].shard.update(operation)
        return _done()


@dataclass(frozen=True)
class Keys:
    """The API keys that a server accepts; None accepts every client."""

    full: str | None = None
    reading: str | None = None

    def admit(self, given: str | None, request: Message) -> bool:
        if (
            self.full is None
            or given == self.full
            or isinstance(request, qdrant.HealthCheckRequest)
        ):
            return True
        return given is not None and given == self.reading and not isinstance(request, _CHANGES)


def _handler(
    answer: Callable[[Any], Message], request: type[Message], keys: Keys
) -> grpc.RpcMethodHandler:
    """Answer a method: check the API key, and translate refusals to status codes."""

    async def handle(request: Message, context: grpc.aio.ServicerContext) -> Message:
        given = dict(context.invocation_metadata()).get("api-key")
        if not keys.admit(given, request):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "Invalid API key or JWT")
        try:
            return answer(request)
        except Refused as refused:
            return await context.abort(refused.code, str(refused))

    return grpc.unary_unary_rpc_method_handler(
        handle, request.FromString, lambda reply: reply.SerializeToString()
    )


def _config(created: qdrant.CreateCollection) -> engine.EdgeConfig:
    params = created.vectors_config.params
    kib_per_point = params.size * 4 / 1024
    return engine.EdgeConfig(
        vectors=engine.EdgeVectorParams(size=params.size, distance=engine.Distance.Cosine),
        hnsw_config=engine.HnswIndexConfig(
            m=created.hnsw_config.m,
            ef_construct=created.hnsw_config.ef_construct,
            full_scan_threshold=1_000,
        ),
        quantization_config=engine.ScalarQuantizationConfig(
            type=engine.ScalarType.Int8,
            quantile=created.quantization_config.scalar.quantile,
            memory=engine.Memory.Pinned,
        ),
        optimizers=engine.EdgeOptimizersConfig(
            default_segment_number=1,
            indexing_threshold=max(1, int(0.9 * _INDEX_AFTER * kib_per_point)),
            max_segment_size=max(1, int(20_000 * kib_per_point)),
        ),
    )


def _point(point: qdrant.PointStruct) -> engine.Point:
    payload = GrpcToRest.convert_payload(point.payload)
    return engine.Point(UUID(point.id.uuid), list(point.vectors.vector.dense.data), payload)


def _query(request: qdrant.QueryPoints) -> engine.QueryRequest:
    return engine.QueryRequest(
        limit=request.limit,
        query=engine.Query.Nearest(list(request.query.nearest.dense.data)),
        with_payload=list(request.with_payload.include.fields),
        params=engine.SearchParams(
            hnsw_ef=request.params.hnsw_ef,
            quantization=engine.QuantizationSearchParams(
                rescore=request.params.quantization.rescore,
                oversampling=request.params.quantization.oversampling,
            ),
        ),
    )


def _filter(condition: qdrant.Filter) -> engine.Filter:
    return engine.Filter(must=[_condition(c.field) for c in condition.must])


def _condition(field: qdrant.FieldCondition) -> engine.FieldCondition:
    if field.HasField("match"):
        return engine.FieldCondition(field.key, match=engine.MatchValue(field.match.keyword))
    return engine.FieldCondition(field.key, range=engine.RangeFloat(lte=field.range.lte))


def _scored(point: engine.ScoredPoint) -> qdrant.ScoredPoint:
    payload = RestToGrpc.convert_payload(point.payload)
    return qdrant.ScoredPoint(id=_id(point.id), payload=payload, score=point.score)


def _retrieved(record: engine.Record) -> qdrant.RetrievedPoint:
    vector = qdrant.VectorOutput(dense=qdrant.DenseVector(data=record.vector))
    return qdrant.RetrievedPoint(
        id=_id(record.id),
        payload=RestToGrpc.convert_payload(record.payload),
        vectors=qdrant.VectorsOutput(vector=vector),
    )


def _id(point_id: object) -> qdrant.PointId:
    return qdrant.PointId(uuid=str(point_id))


def _done() -> qdrant.PointsOperationResponse:
    result = qdrant.UpdateResult(operation_id=0, status=qdrant.UpdateStatus.Completed)
    return qdrant.PointsOperationResponse(result=result)


async def serve(folder: Path, port: int, keys: Keys, version: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    store = Store(folder)
    server = grpc.aio.server(options=_OPTIONS)
    for service, methods in LookupResults(store, version).of_services.items():
        handlers = {name: _handler(*method, keys) for name, method in methods.items()}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(f"ready on {bound}", flush=True)  # noqa: T201 - the parent process waits for this line
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await server.stop(grace=1)
    store.close()


class QdrantServer:
    """The server in its own process; a context manager that can be killed and restarted."""

    def __init__(
        self,
        folder: Path,
        *,
        api_key: str | None = None,
        reading_key: str | None = None,
        version: str = VERSION,
    ) -> None:
        self._arguments = ["--folder", str(folder), "--version", version]
        if api_key:
            self._arguments += ["--api-key", api_key]
        if reading_key:
            self._arguments += ["--reading-key", reading_key]
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on the same port as before; return once it listens."""
        command = [sys.executable, __file__, "--port", str(self.port), *self._arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("ready on "):
            raise RuntimeError(f"the Qdrant test server did not start: {ready!r}")
        self.port = int(ready.split()[-1])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it with SIGKILL, without a clean shutdown."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the points are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--api-key", help="refuse who does not send this key")
    parser.add_argument("--reading-key", help="let who sends this key read")
    parser.add_argument("--version", default=VERSION, help="which Qdrant it says it is")
    given = parser.parse_args()
    keys = Keys(given.api_key, given.reading_key)
    asyncio.run(serve(given.folder, given.port, keys, given.version))


if __name__ == "__main__":
    main()
