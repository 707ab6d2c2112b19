"""No command contacts any host that neither the site file nor the settings name.

Every command runs as a user outside of CI would run it, with an empty home folder; the look-ups and
connections of its process and all of the children are recorded below Python, and refused.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import rapidocr
import typer
from tests.faults.product import read_until, site_file
from tests.servers.clips import jpeg, write_clip
from tests.servers.network_recorder import RecordedUser, built_in

from trinetra.commands.application import app

_ONE_AFTER_THE_OTHER = """
import contextlib, sys
from trinetra.cli import main
for words in sys.argv[1:]:
    sys.argv = ["trinetra", *words.split()]
    file = "receipt.json" if words.startswith("customers forget") else "/dev/null"
    with open(file, "w") as output, contextlib.redirect_stdout(output):
        try:
            main()
        except SystemExit as done:
            assert done.code in {None, 0, 1}, words
"""
"""Commands of one group share a process: to start one for each would take minutes."""
_CLOSED_PORT = "127.0.0.1:9"
_ID = "cus_" + "0" * 24
_NUMBERS = count()

_RUN = {
    "init": "new.yaml",
    "check": "site.yaml",
    "schema": "",
    "settings": "",
    "run": "site.yaml --quiet --events events.jsonl",
    "explain": "trk_1 --file events.jsonl",
    "replay": "--set matching.margin=0.1 --site site.yaml",
    "topology show": "site.yaml",
    "topology estimate": "--site site.yaml",
    "topics create": "--site site.yaml",
    "topics check": "--site site.yaml",
    "devservers status": "",
    "devservers down": "",
    "gallery info": "",
    "gallery export": "faces.trinetra",
    "gallery import": "faces.trinetra",
    "customers list": "",
    "customers show": _ID,
    "customers update": f"{_ID} --name X",
    "customers merge": f"{_ID} {_ID[:-1]}1",
    "customers split": _ID,
    "customers merge-candidates": "",
    "customers enroll": "Ada photo.jpg --consent --purpose loyalty",
    "customers forget": f"{_ID} --yes --timeout 0",
    "customers verify-receipt": "receipt.json",
    "models list": "",
    "models fetch": "",
    "models calibrate": "photos",
    "events tail": f"--url http://{_CLOSED_PORT}",
    "events schema": "",
    "users add": "ann",
    "users list": "",
    "users set-password": "ann",
    "users disable": "ann",
    "users role": "ann viewer",
    "users sites": "ann shop",
    "users link": "ann",
    "tokens create": "ann till --scope transactions:write",
    "tokens list": "",
    "tokens revoke": "0",
    "alerts list": "",
    "alerts ack": "a1",
    "alerts mute": "vip",
    "alerts arm": "",
    "alerts disarm": "",
    "alerts test": "none --site site.yaml",
    "alerts dead-letters": "",
    "alerts retry": "",
    "mcp": f"--url http://{_CLOSED_PORT} --token tri_none",
    "audit show": "",
    "audit verify": "",
    "twin run": "--hours 0.01 --out twin",
    "eval detections": "--truth twin/truth.jsonl --events twin/events.jsonl",
    "eval tracks": "--truth twin/truth.jsonl --events twin/events.jsonl",
    "eval identities": "--truth twin/truth.jsonl --events twin/events.jsonl",
    "eval insights": "--truth twin/truth.jsonl --events twin/events.jsonl",
    "eval clip": "clip.mp4 --persons 0",
    "metrics": "",
    "why": "footfall_in",
    "heatmap": "--site site.yaml",
    "report daily": "--site site.yaml",
    "report weekly": "--site site.yaml",
    "report monthly": "--site site.yaml",
    "report range": "--site site.yaml --from 2026-11-01 --to 2026-11-02",
    "report changed": "--site site.yaml --since 0",
    "footfall day": "site.yaml",
    "footfall audit": "site.yaml events.jsonl",
    "customers staff-candidates": "site.yaml",
    "transactions import": f"receipts.csv --mapping mapping.yaml --url http://{_CLOSED_PORT}",
    "context import": "weather.csv --mapping mapping.yaml --site site.yaml",
    "bench registry": "--identities 1000",
    "bench twin": "--seconds 1",
    "bench gallery": "--size 10",
}
"""Every command that ends by itself, with arguments; it may fail because it has no data."""

_SERVED = {"ingest", "infer", "resolve", "insight", "alert", "web"}
_UNTIL_STOPPED = {"demo": ("", "serving on"), "twin rtsp": ("clip.mp4 --port 0", "rtsp://")}

_IMPORTED = {
    *("bench pipeline", "bench ingest", "bench gate", "bench decision", "bench false-match"),
    *("bench transport", "bench resolve", "bench latency", "eval baseline", "devservers up"),
    *("eval real", "eval purchases", "twin measure", "bench insights", "bench queue-forecast"),
    *("bench alerts", "bench faces-shown", "bench web", "bench web-pages"),
}
"""Runs for minutes, or with servers of its own: only what it imports is run."""


def _commands(group: Any, prefix: str = "") -> Iterator[str]:
    """Yield the words of every command of a group and of the groups in it."""
    members = getattr(group, "members", {})
    for name, listed in group.commands.items():
        command = members[name].load(name) if name in members else listed
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


@pytest.fixture(scope="session")
def models_dir(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every network, so that none needs to be fetched."""
    every = tmp_path_factory.mktemp("networks") / "models"
    shutil.copytree(models_dir, every, copy_function=os.symlink)
    for network in (Path(rapidocr.__file__).parent / "models").glob("*_det_small.onnx"):
        (every / network.name).symlink_to(network)
    return every


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_in(tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a shop of one recording, which the commands share as a user's would."""
    shop = tmp_path_factory.mktemp("shop")
    clip = write_clip(shop / "clip.mp4", frames=15)
    site_file(shop, f"id: door, role: entrance, source: {{file: {clip}}}")
    (shop / "photos" / "ada").mkdir(parents=True)
    for name in ("photo.jpg", "photos/ada/1.jpg"):
        (shop / name).write_bytes(jpeg(640, 480))
    return shop


@pytest.fixture
def user(folder: Path, recorder: Path) -> RecordedUser:
    home = folder / f"user-{next(_NUMBERS)}"
    home.mkdir()
    # One cache for all: to compile the networks for every command would take minutes.
    return RecordedUser(home, recorder, cache=folder / "cache")


def _command(words: str) -> list[str]:
    return [sys.executable, "-m", "trinetra.cli", *words.split()]


def _run(commands: Sequence[str], user: RecordedUser, folder: Path, **settings: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_AFTER_THE_OTHER, *commands],
        env=user.environment(TRINETRA_EMBEDDED_PORT="0", **settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_every_command_is_run_by_one_of_these_tests() -> None:
    known = {*_RUN, *_SERVED, *_UNTIL_STOPPED, *_IMPORTED}
    assert sorted(_commands(typer.main.get_group(app))) == sorted(known)


def test_help_reaches_no_host(user: RecordedUser, folder: Path) -> None:
    commands = ["--version", "--help", *sorted(f"{words} --help" for words in _IMPORTED)]
    _run(commands, user, folder)
    assert user.reached() == set()
    assert user.left_at_home() == []


@pytest.mark.weights
@pytest.mark.parametrize("group", list(dict.fromkeys(name.split()[0] for name in _RUN)))
def test_a_command_reaches_only_what_the_settings_name(
    group: str, user: RecordedUser, folder: Path, models_dir: Path
) -> None:
    _run(
        [f"{name} {words}" for name, words in _RUN.items() if name.split()[0] == group],
        user,
        folder,
        TRINETRA_MODELS_DIR=str(models_dir),
        TRINETRA_DATA_DIR=str(folder / "data"),
        TRINETRA_KAFKA_SERVERS=_CLOSED_PORT,
    )
    assert user.reached() <= {f"connect {_CLOSED_PORT.replace(':', ' ')}"}
    assert user.left_at_home() == []


@pytest.mark.weights
@pytest.mark.parametrize("name", _UNTIL_STOPPED)
def test_a_command_that_runs_until_it_is_stopped_reaches_no_host(
    name: str, user: RecordedUser, folder: Path, models_dir: Path, clips_dir: Path
) -> None:
    arguments, said = _UNTIL_STOPPED[name]
    folders = {"TRINETRA_MODELS_DIR": str(models_dir), "TRINETRA_SAMPLES_DIR": str(clips_dir)}
    with subprocess.Popen(
        _command(f"{name} {arguments}"),
        env=user.environment(TRINETRA_EMBEDDED_PORT="0", **folders),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        read_until(process.stdout, said)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert user.reached() == set()
    assert user.left_at_home() == []


@pytest.mark.weights
@pytest.mark.parametrize("name", sorted(_SERVED))
def test_a_service_reaches_only_the_servers_that_the_settings_name(
    name: str,
    user: RecordedUser,
    folder: Path,
    models_dir: Path,
    redis_url: str,
    kafka_servers: str,
) -> None:
    servers = {
        "TRINETRA_FRAME_BUFFER": "redis",
        "TRINETRA_REDIS_URL": redis_url,
        "TRINETRA_EVENT_LOG": "kafka",
        "TRINETRA_KAFKA_SERVERS": kafka_servers,
        "TRINETRA_NAMESPACE": "network-use",
        "TRINETRA_STORE_URL": f"sqlite:///{user.folder}/insights.db",
        "TRINETRA_MODELS_DIR": str(models_dir),
        f"TRINETRA_{name.upper()}_PORT": "0",
    }
    _run(["topics create --site site.yaml"], user, folder, **servers)
    redis = urlsplit(redis_url)
    named = {f"{redis.hostname}:{redis.port}", *kafka_servers.split(",")}
    with subprocess.Popen(
        _command(f"{name} --site site.yaml"),
        env=user.environment(**servers),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        read_until(process.stderr, "/health/ready")
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert user.reached() <= {f"connect {address.replace(':', ' ')}" for address in named}
    assert user.reached(), "the recorder saw no server at all"
    assert user.left_at_home() == []


def test_a_report_to_a_vendor_would_be_recorded(user: RecordedUser) -> None:
    program = (
        "import socket\ntry:\n socket.getaddrinfo('vendor.example', 443)\nexcept OSError:\n pass"
    )
    subprocess.run([sys.executable, "-c", program], env=user.environment(), check=True)
    assert user.reached() == {"lookup vendor.example"}
