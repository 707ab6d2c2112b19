"""A Kafka broker on loopback: Apache Kafka in KRaft mode, broker and controller in one process."""

import base64
import re
import shutil
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trinetra.devservers.network import HOST, ask, free_port
from trinetra.devservers.process import LocalServer, ServerFailed, ServerMissing

KAFKA = "kafka-4.1.0"
"""Subfolder of the cache folder with Kafka's jars; created by ``scripts/install-servers``."""
_BROKER = "kafka.Kafka"
_FORMATTER = "kafka.tools.StorageTool"
_HEAP_MB = 512
_OLDEST_JAVA = 17
_INSTALL = "run scripts/install-servers"

QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Halves startup and CPU time, for a broker that does not run for long."""

# Metadata request, version 1, of no topics (Kafka protocol guide): size, key, version, correlation
# id, no client id, topics. The response has the correlation id and the brokers that serve clients.
_REQUEST = struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0)
_RESPONSE = struct.Struct(">iii")

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": (
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT"
    ),
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A killed broker can rejoin only after its last session has expired: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Fewer and smaller files than in a production cluster: faster to start, recover and delete.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.segment.bytes": str(16 << 20),
    "log.index.size.max.bytes": str(1 << 20),
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


@dataclass(frozen=True, slots=True)
class KafkaProgram:
    """A Java executable and the jars of Kafka."""

    java: Path
    jars: Path

    def run(self, main: str, *arguments: str, heap_mb: int, jvm: Sequence[str]) -> Sequence[str]:
        """Return the command that runs one of Kafka's classes."""
        memory, jars = f"-Xmx{heap_mb}m", f"{self.jars}/*"
        return (str(self.java), memory, *jvm, "-cp", jars, main, *arguments)


def find_kafka(cache_dir: Path) -> KafkaProgram:
    """Return the Kafka that ``scripts/install-servers`` put into the cache folder.

    Raises ServerMissing.
    """
    jars = cache_dir / KAFKA
    if not jars.is_dir():
        raise ServerMissing(f"Apache Kafka is not installed in {jars}: {_INSTALL}")
    found = shutil.which("java")
    if found is None:
        raise ServerMissing(f"Java is not installed here, and Kafka needs it: {_INSTALL}")
    if (version := _java_version(found)) < _OLDEST_JAVA:
        raise ServerMissing(
            f"Kafka needs Java {_OLDEST_JAVA} or newer, and {found} is Java {version}: {_INSTALL}"
        )
    return KafkaProgram(Path(found), jars)


def _java_version(java: str) -> int:
    """Return the feature release of a Java executable; 0 if it does not run."""
    result = subprocess.run(  # noqa: S603 - found on the path, no shell
        [java, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    version = re.search(r'version "(?:1\.)?(\d+)', result.stderr)
    return int(version[1]) if version else 0


class KafkaBroker(LocalServer):
    """A broker without encryption or passwords; requests do not create topics.

    Clients that connect to ``proxied_port`` are redirected to ``proxy_port`` of loopback for all
    further connections, so that a test's proxy that forwards there stays in between. ``settings``
    override the defaults in server.properties.
    """

    name = "Kafka"
    answers_within_s = 120.0
    stops_within_s = 30.0

    def __init__(
        self,
        folder: Path,
        program: KafkaProgram,
        *,
        port: int | None = None,
        proxy_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        jvm: Sequence[str] = QUICK_START,
    ) -> None:
        super().__init__(folder, port or free_port())
        self._program = program
        self._controller_port = free_port()
        self.proxied_port = free_port() if proxy_port else None
        self._proxy_port = proxy_port
        self._settings = settings or {}
        self._jvm = jvm

    def answers(self) -> bool:
        """Return whether the broker advertises itself to clients."""
        try:
            answer = ask(self.port, _REQUEST, at_least=_RESPONSE.size)
        except OSError:
            return False
        _size, _correlation, brokers = _RESPONSE.unpack_from(answer)
        return int(brokers) > 0

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _prepare(self) -> None:
        (self.folder / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
        properties = _SETTINGS | self._places() | dict(self._settings)
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        self._properties.write_text("".join(lines), encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            self._format()

    def _places(self) -> dict[str, str]:
        """Return the listeners, the advertised addresses and the data folder."""
        broker, controller = f"PLAINTEXT://{self.address}", f"{HOST}:{self._controller_port}"
        listeners, advertised = [broker, f"CONTROLLER://{controller}"], [broker]
        if self._proxy_port:
            listeners.append(f"PROXIED://{HOST}:{self.proxied_port}")
            advertised.append(f"PROXIED://{HOST}:{self._proxy_port}")
        return {
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(advertised),
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._data),
        }

    def _format(self) -> None:
        """Format the data folder as that of a new cluster."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        arguments = ("format", f"--cluster-id={cluster}", "--config", str(self._properties))
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            self._program.run(_FORMATTER, *arguments, heap_mb=128, jvm=QUICK_START),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerFailed(f"Kafka could not format {self._data}: {done.stdout}{done.stderr}")

    def _command(self) -> Sequence[str]:
        logging = f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.properties').as_uri()}"
        jvm = (*self._jvm, logging)
        return self._program.run(_BROKER, str(self._properties), heap_mb=_HEAP_MB, jvm=jvm)
