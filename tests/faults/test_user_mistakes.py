"""What a person gets wrong at the command line: one clear line, exit code 1, no traceback."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.faults.product import command, environment, read_until, site_file, started, trinetra
from tests.servers.clips import write_clip

from trinetra.models.manifest import load_manifest

FULL_DEVICE = "/dev/full"


def shop(folder: Path, *, loop: bool = False) -> Path:
    clip = write_clip(folder / "clip.mp4", frames=15)
    return site_file(
        folder, f"id: door, role: tracking, source: {{file: {clip}, loop: {str(loop).lower()}}}"
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error a command ended with; there is one, and nothing that looks like a crash."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return error


def test_a_variable_that_is_no_setting_is_named_with_what_was_meant(tmp_path: Path) -> None:
    done = trinetra("run", shop(tmp_path), folder=tmp_path, TRINETRA_DATADIR="x")
    complaint(done)
    assert "TRINETRA_DATADIR: unknown setting (did you mean TRINETRA_DATA_DIR?)" in done.stderr


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [("TRINETRA_MODELS_DIR", ["models", "fetch"]), ("TRINETRA_MODELS_DIR", ["demo", "--once"])],
)
def test_a_folder_that_is_not_there_is_told_with_its_variable(
    variable: str, arguments: list[str], tmp_path: Path
) -> None:
    error = complaint(trinetra(*arguments, folder=tmp_path, **{variable: str(tmp_path / "no")}))
    assert str(tmp_path / "no") in error
    assert f"correct or unset {variable}" in error


def test_a_samples_folder_that_is_not_there_is_told_before_networks_are_looked_for(
    tmp_path: Path,
) -> None:
    damaged = tmp_path / "weights"
    damaged.mkdir()
    for model in load_manifest().profile("default").models:
        (damaged / model.file).write_bytes(b"no network")
    folders = {"TRINETRA_MODELS_DIR": str(damaged), "TRINETRA_SAMPLES_DIR": "/nowhere"}
    error = complaint(trinetra("demo", "--once", folder=tmp_path, **folders))
    assert "/nowhere does not exist; correct or unset TRINETRA_SAMPLES_DIR" in error


@pytest.mark.weights
def test_truncated_weights_are_told_with_both_digests(models_dir: Path, tmp_path: Path) -> None:
    model = load_manifest().profile("default").models[0]
    mine = shutil.copytree(models_dir, tmp_path / "weights")
    os.truncate(mine / model.file, 1000)
    site = shop(tmp_path)
    error = complaint(trinetra("run", site, folder=tmp_path, TRINETRA_MODELS_DIR=str(mine)))
    assert f"{mine / model.file} is not the declared file of {model.name}: 1000 bytes" in error
    assert all(digest in error for digest in model.sha256)


@pytest.mark.weights
def test_a_port_in_use_is_told_and_no_empty_summary_is_printed(
    models_dir: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        folders = {"TRINETRA_MODELS_DIR": str(models_dir), "TRINETRA_EMBEDDED_PORT": port}
        done = trinetra("run", shop(tmp_path), folder=tmp_path, **folders)
    error = complaint(done)
    assert f"cannot listen on 127.0.0.1:{port}: address already in use; stop what uses it" in error
    assert done.stdout == ""


@pytest.mark.weights
@pytest.mark.parametrize("path", ["/proc/none.jsonl", FULL_DEVICE])
def test_an_events_file_that_takes_nothing_is_told(
    path: str, models_dir: Path, tmp_path: Path
) -> None:
    folders = {"TRINETRA_MODELS_DIR": str(models_dir)}
    error = complaint(trinetra("run", shop(tmp_path), "--events", path, folder=tmp_path, **folders))
    said = f"no space left for {path}" if path == FULL_DEVICE else f"{path} cannot be written"
    assert said in error


def test_a_summary_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    told = {"TRINETRA_CACHE_DIR": str(cache)}
    done = trinetra("demo", "--once", "--summary", "/proc/none.json", folder=tmp_path, **told)
    assert "/proc/none.json cannot be written" in complaint(done)
    assert not cache.exists()


@pytest.mark.weights
def test_a_second_run_on_one_data_folder_is_refused_and_the_first_goes_on(
    models_dir: Path, tmp_path: Path
) -> None:
    site = shop(tmp_path, loop=True)
    folders = {"TRINETRA_MODELS_DIR": str(models_dir)}
    with started("run", site, folder=tmp_path, **folders) as first:
        read_until(first.stderr, "camera streaming")
        error = complaint(trinetra("run", site, folder=tmp_path, **folders))
        assert f"is in use: process {first.pid} has it open; stop that process" in error
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        first.communicate()
    assert first.returncode == 0


@pytest.mark.parametrize("arguments", [["schema"], ["events", "schema"], ["models", "list"]])
def test_a_reader_that_has_enough_ends_a_command_quietly(
    arguments: list[str], tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            command(*arguments),
            env=environment(tmp_path),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.weights
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_run_needs_no_standard_streams(closed: str, models_dir: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    site = shop(tmp_path)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command("run", site, "--events", events)],
        env=environment(tmp_path, TRINETRA_MODELS_DIR=str(models_dir)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(b"{") for line in events.read_bytes().splitlines())
    assert events.stat().st_size


def test_no_library_reports_to_its_maker(tmp_path: Path) -> None:
    temporary = environment(tmp_path)
    done = trinetra("models", "list", folder=tmp_path)
    assert done.returncode == 0
    # ONNX Runtime's telemetry begins with a session file there.
    assert list(Path(temporary["TMPDIR"]).iterdir()) == []
