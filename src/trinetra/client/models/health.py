"""The platform itself: stages, latency and networks."""

from datetime import datetime

from pydantic import Field

from trinetra.client.models.base import Resource


class StageHealth(Resource):
    """A stage of the platform: ``is_ready`` is None if its process cannot be asked."""

    name: str
    is_ready: bool | None
    detail: str = ""


class Latency(Resource):
    """Upper bounds of the median and of the 99th percentile of a time, in seconds.

    None if nothing was measured, or if it took longer than ``most_s``, the largest bound.
    """

    name: str
    most_s: float | None = None
    p50_s: float | None
    p99_s: float | None
    count: int


class ModelInUse(Resource):
    """A network in use, with its license and the SHA-256 of its file."""

    task: str
    name: str
    version: str
    license: str
    sha256: str | None = None


class HealthReport(Resource):
    """The platform now."""

    at: datetime
    version: str
    stages: tuple[StageHealth, ...]
    latencies: tuple[Latency, ...] = ()
    lag: dict[str, int] = Field(default={})
    models: tuple[ModelInUse, ...] = ()
