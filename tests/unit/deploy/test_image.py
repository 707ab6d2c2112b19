"""The image, and the scripts that start and watch containers, run here without containers."""

import fnmatch
import http.server
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(command: list[Any], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def answering() -> Iterator[Callable[[int], int]]:
    """Return a function that starts a web server with one answer to everything; gives its port."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(status: int) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def dockerfile(deploy: Path) -> str:
    return (deploy / "Dockerfile").read_text()


def pins(lock: Path) -> dict[str, str]:
    """Return what a lock pins: of each package its version and digests."""
    entries = re.split(r"\n(?=[a-z])", re.sub(r" *#.*", "", lock.read_text()).strip())
    return {entry.partition("==")[0]: " ".join(entry.split()) for entry in entries if "==" in entry}


def test_the_image_is_built_of_pinned_parts_and_runs_without_root(dockerfile: str) -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", dockerfile, re.MULTILINE)
    assert {"cpu", "cuda"} <= {name for _, name in stages}
    outside = {image for image, _ in stages} - {name for _, name in stages}
    assert outside == {"python:${PYTHON}"}
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-\w+$", dockerfile, re.MULTILINE)
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001:10001"]


def test_whatever_is_fetched_into_the_image_is_checked_against_its_digest(dockerfile: str) -> None:
    joined = dockerfile.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install ([^\n&]*)", joined)
    assert len(installs) == 4
    for arguments in installs:
        assert "--require-hashes" in arguments or "--no-index" in arguments


def test_what_the_image_copies_is_let_through_and_nothing_secret_is(
    dockerfile: str, root: Path
) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    copied = [
        name
        for names in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", dockerfile, re.MULTILINE)
        for name in names.split()
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((root / name).exists() for name in copied)
    assert not any(fnmatch.fnmatch("deploy/.env", pattern) for pattern in allowed)


def test_the_locks_of_the_image_agree_with_those_of_the_repository(
    deploy: Path, root: Path
) -> None:
    developed = pins(root / "requirements-dev.lock")
    shipped = pins(root / "requirements.lock")
    for name, pin in pins(deploy / "requirements-build.lock").items():
        assert pin == developed[name], f"{name}: deploy/lock writes it anew"
    cuda = pins(deploy / "requirements-cuda.lock")
    assert "onnxruntime-gpu" in cuda
    for name in cuda.keys() & shipped.keys():
        version = shipped[name].partition(" ")[0]
        assert cuda[name].startswith(version + " "), f"{name}: deploy/lock writes it anew"


def test_a_container_made_anew_keeps_the_name_that_lies_with_its_data(
    deploy: Path, tmp_path: Path
) -> None:
    program(tmp_path, "trinetra", 'echo "$TRINETRA_INSTANCE $*"')
    path = f"{tmp_path}:{os.environ['PATH']}"
    data = tmp_path / "data"
    data.mkdir()
    for host in ("first", "second"):
        program(tmp_path, "hostname", f"echo {host}")
        told = run(
            [deploy / "entrypoint", "infer", "--site", "s"], PATH=path, TRINETRA_DATA_DIR=str(data)
        )
        assert told.stdout == "first infer --site s\n"


def test_a_name_that_was_given_wins_and_a_job_without_data_needs_none(
    deploy: Path, tmp_path: Path
) -> None:
    program(tmp_path, "trinetra", 'echo "${TRINETRA_INSTANCE-none}"')
    path = f"{tmp_path}:{os.environ['PATH']}"
    given = run(
        [deploy / "entrypoint"], PATH=path, TRINETRA_INSTANCE="x", TRINETRA_DATA_DIR=str(tmp_path)
    )
    assert given.stdout == "x\n"
    assert run([deploy / "entrypoint"], PATH=path).stdout == "none\n"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_what_the_service_answers(
    deploy: Path, answering: Callable[[int], int], status: int, code: int
) -> None:
    port = str(answering(status))
    # A proxy for everything, as machines in companies have it, is not the way to itself.
    outcome = run(
        [sys.executable, deploy / "healthcheck"], HEALTH_PORT=port, http_proxy="http://127.0.0.1:9"
    )
    assert outcome.returncode == code, outcome.stderr


def test_the_health_check_tells_where_nobody_answers(
    deploy: Path, answering: Callable[[int], int]
) -> None:
    port = answering(200)
    outcome = run([sys.executable, deploy / "healthcheck", str(port)])
    assert outcome.returncode == 0
    outcome = run([sys.executable, deploy / "healthcheck", "1"])
    assert outcome.returncode == 1
    assert "http://127.0.0.1:1/health/live" in outcome.stderr


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_qdrants_health_check_needs_bash_alone(
    compose: dict[str, Any], answering: Callable[[int], int], status: int, healthy: bool
) -> None:
    _, *command = compose["services"]["qdrant"]["healthcheck"]["test"]
    command = [word.replace("$$", "$").replace("6333", str(answering(status))) for word in command]
    assert (run(command).returncode == 0) is healthy


def test_secrets_are_made_once_and_for_their_owner_alone(deploy: Path, tmp_path: Path) -> None:
    shutil.copy(deploy / "make-env", tmp_path)
    assert run([tmp_path / "make-env"]).returncode == 0
    made = tmp_path / ".env"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    secrets = re.findall(
        r"^[A-Z_]+(?:PASSWORD|KEY)=([0-9a-f]{48})$", made.read_text(), re.MULTILINE
    )
    assert len(set(secrets)) == 5
    before = made.read_text()
    again = run([tmp_path / "make-env"])
    assert again.returncode == 1
    assert made.read_text() == before
    assert not any(secret in again.stdout + again.stderr for secret in secrets)


def test_every_variable_without_a_default_is_in_the_file_of_secrets(
    deploy: Path, tmp_path: Path
) -> None:
    shutil.copy(deploy / "make-env", tmp_path)
    run([tmp_path / "make-env"])
    made = set(re.findall(r"^([A-Z_]+)=", (tmp_path / ".env").read_text(), re.MULTILINE))
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", (deploy / "compose.yaml").read_text()))
    assert needed
    assert needed <= made


def test_redis_gets_its_password_by_no_argument(deploy: Path, tmp_path: Path) -> None:
    program(tmp_path, "redis-server", 'echo "arguments: $*"; cat')
    path = f"{tmp_path}:{os.environ['PATH']}"
    config = str(deploy / "redis" / "redis.conf")
    secret = {"REDIS_PASSWORD": "pass"}
    told = run([deploy / "redis" / "start"], PATH=path, REDIS_CONFIG=config, **secret)
    arguments, *lines = told.stdout.splitlines()
    assert arguments == "arguments: -"
    assert lines[-1] == "requirepass pass"
    assert "maxmemory-policy noeviction" in lines
    refused = run([deploy / "redis" / "start"], PATH=path, REDIS_CONFIG=config)
    assert refused.returncode != 0
    assert "REDIS_PASSWORD" in refused.stderr


def test_kafka_is_formatted_once_and_forgets_the_password(deploy: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    config = tmp_path / "server.properties"
    config.write_text(f"log.dirs={data}\n")
    program(
        tmp_path,
        "kafka-storage.sh",
        f'[ "$1" = random-uuid ] && echo id && exit; echo "$*"; touch {data}/meta.properties',
    )
    program(tmp_path, "kafka-server-start.sh", 'echo "start ${KAFKA_PASSWORD-no password}"')
    environment = {
        "KAFKA_BIN": str(tmp_path),
        "KAFKA_CONFIG": str(config),
        "KAFKA_PASSWORD": "secret",
    }
    first = run([deploy / "kafka" / "start"], **environment).stdout.splitlines()
    assert "name=trinetra,password=secret" in first[0]
    assert first[1:] == ["start no password"]
    second = run([deploy / "kafka" / "start"], **environment).stdout.splitlines()
    assert second == ["start no password"]


def test_kafka_makes_no_topics_by_itself_and_lets_nobody_in_without_a_password(
    deploy: Path,
) -> None:
    lines = (deploy / "kafka" / "server.properties").read_text().splitlines()
    settings = dict(
        line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")
    )
    assert settings["auto.create.topics.enable"] == "false"
    protocols = dict(
        entry.split(":") for entry in settings["listener.security.protocol.map"].split(",")
    )
    for listener in settings["listeners"].split(","):
        name, address = listener.split("://")
        assert protocols[name].startswith("SASL") or address.startswith("127.0.0.1:"), listener
