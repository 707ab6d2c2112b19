"""The servers of the matrix, and the proxies that stand before them in some rows."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.proxy import Proxy
from tests.servers.qdrant_server import QdrantServer

from trinetra.devservers.kafka import KafkaBroker, KafkaProgram
from trinetra.devservers.network import free_port
from trinetra.devservers.redis import RedisServer, find_redis


@dataclass(frozen=True, slots=True)
class Servers:
    """Real servers of this run alone; they keep their ports over restarts."""

    redis: RedisServer
    kafka: KafkaBroker
    gallery: QdrantServer
    redis_proxy: Proxy
    kafka_proxy: Proxy

    @property
    def proxies(self) -> tuple[Proxy, Proxy]:
        """What stands between the services and Redis and Kafka in some rows."""
        return self.redis_proxy, self.kafka_proxy


@contextmanager
def serving(folder: Path, program: KafkaProgram) -> Iterator[Servers]:
    """Start everything, and stop it at the end."""
    proxy_port = free_port()
    with ExitStack() as stack:
        redis = stack.enter_context(
            RedisServer(folder / "redis", binary=find_redis(require_real=True))
        )
        broker = KafkaBroker(folder / "kafka", program, proxy_port=proxy_port)
        kafka = stack.enter_context(broker)
        if kafka.proxied_port is None:
            raise RuntimeError("the broker was told of a proxy and does not know it")
        yield Servers(
            redis=redis,
            kafka=kafka,
            gallery=stack.enter_context(QdrantServer(folder / "gallery")),
            redis_proxy=stack.enter_context(Proxy(redis.port)),
            kafka_proxy=stack.enter_context(Proxy(kafka.proxied_port, port=proxy_port)),
        )
