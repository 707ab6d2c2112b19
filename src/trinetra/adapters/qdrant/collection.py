"""Creates the collection of an embedding model version on a server, or checks an existing one."""

import re
from dataclasses import dataclass

from qdrant_client import models
from qdrant_client.async_client_base import AsyncQdrantBase

from trinetra.adapters.qdrant.connection import VENDOR_ERRORS
from trinetra.adapters.qdrant.points import CUSTOMER_ID, EXPIRES_AT, KIND, model_slug
from trinetra.errors import ConfigurationError

# The first server version that reads vectors in the format of the current client (DenseVector).
OLDEST_SERVER = (1, 16)
_PAYLOAD_INDEXES = {
    CUSTOMER_ID: models.PayloadSchemaType.KEYWORD,
    KIND: models.PayloadSchemaType.KEYWORD,
    EXPIRES_AT: models.PayloadSchemaType.INTEGER,
}


@dataclass(frozen=True, slots=True)
class ServerTuning:
    """Index and search parameters of a server; the defaults suit up to about a million entries.

    The graph is denser than the embedded gallery's, since with m = 16 the first rank of a million
    random directions was missed in 3.5 % of searches. ``m`` and ``ef_construct`` are fixed when a
    collection is created; ``ef_search`` and ``oversampling`` apply to each search.
    """

    m: int = 32
    ef_construct: int = 256
    ef_search: int = 128
    oversampling: float = 2.0


def collection_name(namespace: str, model_version: str) -> str:
    """Return the name of the collection for the faces of one embedding model version."""
    prefix = f"{namespace}-" if namespace else ""
    return f"{prefix}faces-{model_slug(model_version)}"


async def prepare(
    client: AsyncQdrantBase, name: str, dimension: int, tuning: ServerTuning, where: str
) -> None:
    """Create or check the collection; safe to call from several processes at once.

    Raises ConfigurationError for a server that is too old or an incompatible collection, and the
    client's errors.
    """
    _check_server(await client.info(), where)
    if not await client.collection_exists(name):
        await _create(client, name, dimension, tuning)
    info = await client.get_collection(name)
    _check_vectors(info, name, dimension, where)
    for field in _PAYLOAD_INDEXES.keys() - info.payload_schema.keys():
        await client.create_payload_index(name, field, _PAYLOAD_INDEXES[field])


async def _create(client: AsyncQdrantBase, name: str, dimension: int, tuning: ServerTuning) -> None:
    try:
        await client.create_collection(
            name,
            vectors_config=models.VectorParams(size=dimension, distance=models.Distance.COSINE),
            hnsw_config=models.HnswConfigDiff(m=tuning.m, ef_construct=tuning.ef_construct),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(
                    type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                )
            ),
        )
    except VENDOR_ERRORS:
        # Another resolver may have created it first; the error code for that differs by version.
        if not await client.collection_exists(name):
            raise


def _check_server(info: models.VersionInfo, where: str) -> None:
    version = re.match(r"(\d+)\.(\d+)", info.version)
    if "qdrant" not in info.title.lower() or version is None:
        raise ConfigurationError(
            f"{where} is not a Qdrant server: it reports {info.title!r} {info.version!r}; "
            "check TRINETRA_QDRANT_URL"
        )
    if (int(version[1]), int(version[2])) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise ConfigurationError(
            f"the Qdrant server {where} has version {info.version}, but {oldest} or newer is "
            "required; upgrade it"
        )


def _check_vectors(info: models.CollectionInfo, name: str, dimension: int, where: str) -> None:
    params = info.config.params.vectors
    if not isinstance(params, models.VectorParams):
        raise ConfigurationError(
            f"the collection {name} on {where} has named vectors, so TRINETRA did not create it; "
            "move it away, or set another TRINETRA_NAMESPACE"
        )
    if params.size != dimension:
        raise ConfigurationError(
            f"the collection {name} on {where} has vectors of dimension {params.size}, but the "
            f"model's embeddings have dimension {dimension}; give the model a version of its own, "
            "or export the collection and delete it"
        )
    if params.distance != models.Distance.COSINE:
        raise ConfigurationError(
            f"the collection {name} on {where} uses the distance {params.distance}, but Cosine is "
            "required; export the collection, delete it, and import it again"
        )
