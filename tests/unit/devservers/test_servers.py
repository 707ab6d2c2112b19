"""Local servers: started, killed, restarted, stopped, and never left behind."""

import os
import select
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from redis import Redis
from tests.servers.proxy import Proxy, Way

from trinetra.devservers.kafka import KAFKA, KafkaBroker, KafkaProgram, find_kafka
from trinetra.devservers.network import HOST, free_port, is_free
from trinetra.devservers.process import ServerFailed, ServerMissing
from trinetra.devservers.redis import RedisServer, find_redis


def runs(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_a_redis_answers_when_its_start_returns_and_is_gone_after_its_stop(
    redis_binary: Path, tmp_path: Path
) -> None:
    with RedisServer(tmp_path, binary=redis_binary) as server:
        pid = server.pid
        with closing(Redis.from_url(server.url)) as redis:
            assert redis.ping()
    assert not runs(pid)
    assert not server.answers()


@pytest.mark.faults
def test_a_killed_redis_comes_back_on_the_same_port_without_its_pictures(
    redis_server: RedisServer,
) -> None:
    with closing(Redis.from_url(redis_server.url)) as redis:
        redis.set("picture", b"jpeg")
    before = redis_server.pid
    redis_server.restart()
    assert redis_server.pid != before
    with closing(Redis.from_url(redis_server.url)) as redis:
        assert redis.get("picture") is None
    assert not list(redis_server.folder.glob("*.rdb"))


def test_a_suspended_redis_keeps_its_connections_and_goes_on_when_it_is_resumed(
    redis_server: RedisServer,
) -> None:
    with closing(Redis.from_url(redis_server.url)) as redis:
        redis.set("kept", b"here")
        redis_server.suspend()
        assert "T (stopped)" in Path(f"/proc/{redis_server.pid}/status").read_text()
        redis_server.resume()
        assert redis.get("kept") == b"here"


def test_a_suspended_redis_can_be_stopped(redis_server: RedisServer) -> None:
    redis_server.suspend()
    assert redis_server.stop() == 0


def test_a_server_whose_port_is_taken_is_not_started(
    tmp_path: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    server = RedisServer(tmp_path, port=port, binary=Path("/bin/true"))
    with pytest.raises(
        ServerFailed, match=rf"Redis on {HOST}:{port}.* another program listens on that port"
    ):
        server.start()
    assert server.pid is None


def test_a_server_that_ends_at_once_says_so_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, binary=Path("/bin/ls"))
    with pytest.raises(ServerFailed, match=r"(?s)exited with code 2.*server\.log.*--bind"):
        server.start()
    assert server.pid is None


def test_a_server_is_not_started_twice(redis_server: RedisServer) -> None:
    with pytest.raises(ServerFailed, match="is already running"):
        redis_server.start()


STARTS_A_REDIS = """
import sys, threading
from pathlib import Path
from trinetra.devservers.redis import RedisServer
server = RedisServer(Path(sys.argv[1]))
starting = threading.Thread(target=server.start)
starting.start()
starting.join()
print(server.pid, server.answers(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="util-linux has no setpriv here")
@pytest.mark.faults
def test_a_server_outlives_the_thread_that_started_it_but_dies_with_a_killed_process(
    redis_binary: Path, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_A_REDIS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout
        pid, answers = parent.stdout.readline().split()
        assert answers == b"True"
        handle = os.pidfd_open(int(pid))
        parent.kill()
    try:
        assert select.select([handle], [], [])[0]
    finally:
        os.close(handle)


def test_what_is_missing_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=r"redis-server is not installed.*install-servers"):
        find_redis(require_real=True)
    with pytest.raises(ServerMissing, match=r"Kafka is not installed in .*install-servers"):
        find_kafka(tmp_path)
    (tmp_path / KAFKA).mkdir()
    with pytest.raises(ServerMissing, match=r"Java is not installed.*install-servers"):
        find_kafka(tmp_path)


@pytest.mark.parametrize(("version", "feature"), [("1.8.0_392", 8), ("11.0.21", 11)])
def test_a_java_that_is_too_old_is_refused(
    version: str, feature: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / KAFKA).mkdir()
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2023-10-17' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=rf"Java 17 or newer, and .* is Java {feature}:"):
        find_kafka(tmp_path)


def test_a_valkey_stands_in_where_no_redis_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = RedisServer(tmp_path / "valkey", binary=find_redis())
    with server, closing(Redis.from_url(server.url)) as redis:
        assert redis.info()["server_name"] == "valkey"


def test_a_free_port_is_none_that_the_kernel_gives_to_clients() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    port = free_port()
    assert not first <= port <= last
    assert is_free(port)


def test_a_port_somebody_listens_on_is_not_free(listener: socket.socket) -> None:
    assert not is_free(listener.getsockname()[1])


def keep(broker: KafkaBroker, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.address})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def kept(servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "auto.offset.reset": "earliest",
            "group.id": uuid.uuid4().hex,
        }
    )
    consumer.subscribe([topic])
    values = [message.value() for message in consumer.consume(count, 60)]
    consumer.close()
    return values


def create(broker: KafkaBroker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)


@pytest.mark.faults
def test_a_killed_kafka_comes_back_with_what_it_had_acknowledged(
    kafka_broker: KafkaBroker, kafka_program: KafkaProgram
) -> None:
    create(kafka_broker, "kept")
    keep(kafka_broker, "kept", b"one", b"two")
    kafka_broker.restart()
    assert kept(kafka_broker.address, "kept", 2) == [b"one", b"two"]
    kafka_broker.stop()
    with KafkaBroker(kafka_broker.folder, kafka_program) as elsewhere:
        assert kept(elsewhere.address, "kept", 2) == [b"one", b"two"]


def test_topics_are_not_made_by_asking_for_them(kafka_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_servers})
    name = uuid.uuid4().hex
    asked = admin.list_topics(name, timeout=30).topics[name]
    assert asked.error is not None
    assert asked.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in admin.list_topics(timeout=30).topics


@pytest.mark.faults
def test_a_kafka_behind_a_proxy_sends_its_clients_back_to_the_proxy(
    kafka_program: KafkaProgram, tmp_path: Path
) -> None:
    port = free_port()
    with KafkaBroker(tmp_path, kafka_program, proxy_port=port) as broker:
        assert broker.proxied_port
        create(broker, "seen")
        keep(broker, "seen", b"x" * 100_000)
        with Proxy(broker.proxied_port, port=port) as proxy:
            assert kept(f"{HOST}:{port}", "seen", 1) == [b"x" * 100_000]
            assert proxy.forwarded[Way.REPLIES] > 100_000


def test_a_kafka_with_a_wrong_setting_says_what_is_wrong(
    kafka_program: KafkaProgram, tmp_path: Path
) -> None:
    broker = KafkaBroker(tmp_path, kafka_program, settings={"num.io.threads": "none"})
    with pytest.raises(ServerFailed, match=r"num\.io\.threads"):
        broker.start()
