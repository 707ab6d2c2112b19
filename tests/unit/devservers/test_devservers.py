"""``trinetra devservers``: servers keep running after the command, and are found again."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trinetra.commands.devservers import settings_lines
from trinetra.devservers.kafka import KafkaProgram
from trinetra.devservers.network import HOST, free_port, is_free
from trinetra.devservers.servers import DevServers, Remembered
from trinetra.errors import ConfigurationError
from trinetra.settings import load_settings
from trinetra.wiring.connections import need_shared

COMMAND = "from trinetra.commands.devservers import devservers; devservers()"


@dataclass
class Shell:
    """A user who runs ``trinetra devservers ...`` on a machine with its own data folder."""

    data: Path
    redis_port: int
    kafka_port: int

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *words],
            env=os.environ | {"TRINETRA_DATA_DIR": str(self.data)},
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        ports = ("--redis-port", str(self.redis_port), "--kafka-port", str(self.kafka_port))
        return self.types("up", *ports)

    def status(self) -> dict[str, dict[str, object]]:
        return {row["name"]: row for row in json.loads(self.types("status", "--json").stdout)}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    redis_port = free_port()
    kafka_port = next(port for port in iter(free_port, None) if port != redis_port)
    shell = Shell(tmp_path, redis_port, kafka_port)
    yield shell
    shell.types("down")


@pytest.fixture
def stack(tmp_path: Path) -> DevServers:
    return DevServers(tmp_path)


def remember(folder: Path, *servers: Remembered) -> None:
    rows = [{name: getattr(s, name) for name in s.__struct_fields__} for s in servers]
    (folder / "servers.json").write_text(json.dumps(rows))


@pytest.mark.faults
def test_servers_outlive_the_command_that_started_them_until_they_are_stopped(
    redis_binary: Path, kafka_program: KafkaProgram, shell: Shell
) -> None:
    first = shell.up()
    assert first.returncode == 0, first.stderr
    assert f"export TRINETRA_REDIS_URL=redis://{HOST}:{shell.redis_port}/0\n" in first.stdout
    assert f"export TRINETRA_KAFKA_SERVERS={HOST}:{shell.kafka_port}\n" in first.stdout
    running = shell.status()
    assert [row["runs"] for row in running.values()] == [True, True]

    unasked = shell.types("up")
    assert (unasked.returncode, unasked.stdout) == (0, first.stdout)
    assert shell.status() == running

    os.kill(int(str(running["Redis"]["pid"])), signal.SIGKILL)
    again = shell.types("up")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert shell.status()["Redis"]["pid"] != running["Redis"]["pid"]
    assert shell.status()["Kafka"] == running["Kafka"]

    assert shell.types("down").returncode == 0
    assert shell.status() == {}
    assert is_free(shell.redis_port)
    assert is_free(shell.kafka_port)


def test_the_settings_that_are_printed_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [Remembered("Redis", 1, 1, 7001, ""), Remembered("Kafka", 1, 1, 7002, "")]
    for line in settings_lines(servers, "sqlite:////shop/insights.db").splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.frame_buffer, settings.event_log) == ("redis", "kafka")
    assert settings.redis_url.get_secret_value() == f"redis://{HOST}:7001/0"
    assert settings.kafka_servers == f"{HOST}:7002"
    need_shared(settings, "resolve", "frame_buffer", "event_log", "gallery", "store_url")


def test_a_port_that_somebody_else_uses_is_refused_before_anything_starts(
    stack: DevServers, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"{port} .* is taken.*--kafka-port"):
            stack.up(redis_port=free_port(), kafka_port=port, cache_dir=tmp_path)
    assert not stack.remembered()


def test_another_port_for_a_running_server_is_refused(stack: DevServers, tmp_path: Path) -> None:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    remember(tmp_path, Remembered("Redis", os.getpid(), started, 7001, ""))
    with pytest.raises(
        ConfigurationError, match=r"Redis is already running, on .*:7001 and not on 7002"
    ):
        stack.up(redis_port=7002, kafka_port=free_port(), cache_dir=tmp_path)


def test_servers_that_run_are_found_whatever_their_ports_and_wherever_their_programs(
    stack: DevServers, tmp_path: Path
) -> None:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    servers = [
        Remembered(name, os.getpid(), started, port, "")
        for name, port in (("Redis", 7001), ("Kafka", 7002))
    ]
    remember(tmp_path, *servers)
    assert stack.up(cache_dir=tmp_path / "empty") == servers


def test_a_process_that_only_has_the_same_id_is_neither_shown_nor_stopped(
    stack: DevServers, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        remember(tmp_path, Remembered("Redis", stranger.pid, 1, 7001, "redis.log"))
        (server,) = stack.remembered()
        assert not server.runs
        assert stack.down() == []
        server.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_that_has_ended_unseen_does_not_run(stack: DevServers, tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        remember(tmp_path, Remembered("Redis", ended.pid, 1, 7001, "redis.log"))
        assert not stack.remembered()[0].runs


def test_a_status_file_that_cannot_be_read_is_named(stack: DevServers, tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"servers\.json cannot be read"):
        stack.remembered()


def test_down_erases_what_servers_wrote_only_when_told(stack: DevServers, tmp_path: Path) -> None:
    written = tmp_path / "kafka" / "data"
    written.mkdir(parents=True)
    stack.down()
    assert written.exists()
    stack.down(erase=True)
    assert not written.exists()


def test_where_nothing_was_started_the_status_says_how_and_fails(shell: Shell) -> None:
    status = shell.types("status")
    assert status.returncode == 1
    assert "trinetra devservers up" in status.stdout
