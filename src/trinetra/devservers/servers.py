"""Runs Redis and Kafka in the background, recorded in a state file until they are stopped."""

import os
import select
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import msgspec

from trinetra.devservers.kafka import KafkaBroker, KafkaProgram, find_kafka
from trinetra.devservers.network import HOST, is_free
from trinetra.devservers.process import LocalServer, ServerFailed
from trinetra.devservers.redis import RedisServer, find_redis
from trinetra.errors import ConfigurationError

DEFAULT_PORTS: Mapping[str, int] = {RedisServer.name: 6379, KafkaBroker.name: 9092}
_STOPS_WITHIN_S = 30.0
_START_TIME = 19  # in /proc/PID/stat, counted from after the name: field 22 of proc(5)


class Remembered(msgspec.Struct, frozen=True):
    """Record of a started server: its port, and the identity of its process.

    ``started`` is the start time of the process in ticks since boot. A process with the same id and
    another start time is an unrelated one.
    """

    name: str
    pid: int
    started: int
    port: int
    log: str

    @classmethod
    def of(cls, server: LocalServer, pid: int) -> Self:
        """Return the record of a running server."""
        started = _started(pid)
        if started is None:
            raise ServerFailed(f"{server.name} exited right after its start: see {server.log_file}")
        return cls(server.name, pid, started, server.port, str(server.log_file))

    @property
    def runs(self) -> bool:
        """True while this exact process is still running."""
        return _started(self.pid) == self.started

    def stop(self) -> None:
        """Stop the server gracefully and wait until it has exited; kill it if it takes too long."""
        with suppress(ProcessLookupError):  # it may exit by itself at any moment
            handle = os.pidfd_open(self.pid)
            try:
                if self.runs:
                    _end(handle)
            finally:
                os.close(handle)


def _started(pid: int) -> int | None:
    """Return the start time of a process in ticks since boot; None if it has exited."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name can contain spaces and parentheses.
    state, *numbers = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(numbers[_START_TIME - 1])


def _end(handle: int) -> None:
    """Stop the process behind a pidfd, which, unlike a process id, is never reused."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(handle, how)
        if select.select([handle], [], [], _STOPS_WITHIN_S)[0]:
            return
    raise ServerFailed(
        "a server does not exit even when it is killed: check whether its disk hangs"
    )


class DevServers:
    """The servers of this machine's data folder; at most one of each runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "servers.json"

    def remembered(self) -> Sequence[Remembered]:
        """Return the servers that were started and not stopped, even if they no longer run.

        Raises ConfigurationError for a state file that cannot be read.
        """
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=list[Remembered])
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as cause:
            raise ConfigurationError(
                f"{self._state} cannot be read ({cause}): stop redis-server and Kafka by hand and "
                "delete the file"
            ) from cause

    def up(
        self, *, redis_port: int | None = None, kafka_port: int | None = None, cache_dir: Path
    ) -> Sequence[Remembered]:
        """Start the servers that are not running and return all servers.

        A server keeps its previous port unless another is given, so that clients find it again.
        Either both run in the end or none was started. Raises ConfigurationError for a port that is
        in use or differs from that of a running server, ServerMissing and ServerFailed.
        """
        remembered = {server.name: server for server in self.remembered()}
        running = {name: server for name, server in remembered.items() if server.runs}
        asked = {RedisServer.name: redis_port, KafkaBroker.name: kafka_port}
        wanted = {name: port or _usual_port(name, remembered) for name, port in asked.items()}
        _check_ports(wanted, running)
        if running.keys() >= wanted.keys():
            return list(running.values())
        binary, program = find_redis(), find_kafka(cache_dir)
        servers = [s for s in self._servers(wanted, binary, program) if s.name not in running]
        return self._start(servers, list(running.values()))

    def down(self, *, erase: bool = False) -> Sequence[Remembered]:
        """Stop all running servers and return them; ``erase`` deletes their data."""
        stopped = [server for server in self.remembered() if server.runs]
        for server in stopped:
            server.stop()
        self._state.unlink(missing_ok=True)
        if erase and self._folder.exists():
            shutil.rmtree(self._folder)
        return stopped

    def _start(
        self, servers: Sequence[LocalServer], running: Sequence[Remembered]
    ) -> Sequence[Remembered]:
        started = _start_all(servers)
        everything = [*running, *started]
        try:
            self._remember(everything)
        except OSError as cause:
            for server in started:
                server.stop()
            raise ConfigurationError(f"cannot write {self._state}: {cause}") from cause
        return everything

    def _servers(
        self, ports: Mapping[str, int], redis: Path, kafka: KafkaProgram
    ) -> Sequence[LocalServer]:
        # Full JIT compilation, unlike the broker of a test: this one may run for days.
        broker = KafkaBroker(self._folder / "kafka", kafka, port=ports[KafkaBroker.name], jvm=())
        return (
            RedisServer(self._folder / "redis", port=ports[RedisServer.name], binary=redis),
            broker,
        )

    def _remember(self, servers: Sequence[Remembered]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._state.with_suffix(".new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(servers)) + b"\n")
        new.replace(self._state)


def _usual_port(name: str, remembered: Mapping[str, Remembered]) -> int:
    server = remembered.get(name)
    return server.port if server else DEFAULT_PORTS[name]


def _check_ports(wanted: Mapping[str, int], running: Mapping[str, Remembered]) -> None:
    for name, port in wanted.items():
        if (server := running.get(name)) is not None:
            if server.port != port:
                raise ConfigurationError(
                    f"{name} is already running, on {HOST}:{server.port} and not on {port}: "
                    "stop it with `trinetra devservers down`"
                )
        elif not is_free(port):
            raise ConfigurationError(
                f"port {port} of {HOST} is taken by another program: stop it, or choose another "
                f"port with --{name.lower()}-port"
            )


def _start_all(servers: Sequence[LocalServer]) -> list[Remembered]:
    with ExitStack() as undo:
        for server in servers:
            server.start(tethered=False)
            undo.callback(server.stop)
        undo.pop_all()
    return [Remembered.of(server, server.release()) for server in servers]
