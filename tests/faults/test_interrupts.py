"""Ctrl-C and SIGTERM at any moment: no traceback, no orphan, no litter, the terminal as it was."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest
from tests.faults.product import command, environment, read_until, site_file, started
from tests.servers.clips import write_clip

from trinetra.models.manifest import load_manifest

CTRL_C = b"\x03"
SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"
CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A command in a terminal of its own, which sends a typed Ctrl-C to all its processes."""

    def __init__(self, *arguments: str, folder: Path, **environ: str) -> None:
        self.said = b""
        self._keyboard, self._screen = pty.openpty()
        self._modes = termios.tcgetattr(self._screen)
        self.process = subprocess.Popen(
            command(*arguments),
            env=environment(folder, TERM="xterm-256color", **environ),
            stdin=self._screen,
            stdout=self._screen,
            stderr=self._screen,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no other way
        )

    def read_until(self, text: bytes) -> None:
        while text not in CONTROLS.sub(b"", self.said):
            assert self.process.poll() is None, self.said.decode()
            self._read()

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def wait(self) -> int:
        while self.process.poll() is None:
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        while select.select([self._keyboard], [], [], 0.05)[0]:
            self.said += os.read(self._keyboard, 65536)

    def as_it_was(self) -> bool:
        cursor_is_back = self.said.count(HIDE_CURSOR) <= self.said.count(SHOW_CURSOR)
        return cursor_is_back and termios.tcgetattr(self._screen) == self._modes

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)
        os.close(self._screen)


@contextmanager
def terminal(*arguments: str, folder: Path, **environ: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments, folder=folder, **environ)
    try:
        yield opened
    finally:
        opened.close()


def running_in(session: int) -> list[str]:
    """Return the processes of a session that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # no process, or it has just ended
        if int(its_session) == session and state != "Z":
            found.append((entry / "cmdline").read_text())
    return found


@pytest.mark.clips
@pytest.mark.weights
@pytest.mark.parametrize("times", [1, 2, 4])
def test_ctrl_c_in_the_middle_of_a_demo_leaves_nothing_behind(
    times: int, clips_dir: Path, models_dir: Path, tmp_path: Path
) -> None:
    folders = {"TRINETRA_SAMPLES_DIR": str(clips_dir), "TRINETRA_MODELS_DIR": str(models_dir)}
    # Loading the networks cannot be cut short, and takes long on a busy machine.
    patience = {"TRINETRA_DRAIN_DEADLINE_S": "300"}
    with terminal("demo", folder=tmp_path, **folders, **patience) as shown:
        shown.read_until(b"streaming")
        for _ in range(times):
            shown.type(CTRL_C)
        code = shown.wait()
        # The first asks for an orderly end, the second cuts that short if it is still going on.
        assert code in ({0} if times == 1 else {0, 128 + signal.SIGINT, -signal.SIGINT})
        assert b"Traceback" not in shown.said
        assert shown.as_it_was()
        assert running_in(shown.process.pid) == []
        if times == 1:
            assert b"frames/s" in shown.said
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.weights
def test_sigterm_drains_and_ends_with_a_summary(models_dir: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    site = site_file(tmp_path, f"id: door, role: tracking, source: {{file: {clip}, loop: true}}")
    with started("run", site, folder=tmp_path, TRINETRA_MODELS_DIR=str(models_dir)) as process:
        said = read_until(process.stderr, "camera streaming")
        process.send_signal(signal.SIGTERM)
        summary, rest = process.communicate()
    assert process.returncode == 0
    assert "frames/s" in summary
    assert "Traceback" not in said + rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_weights_are_read_ends_at_once(
    number: signal.Signals, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for model in load_manifest().profile("default").models:
        os.mkfifo(weights / model.file)
    clip = write_clip(tmp_path / "clip.mp4")
    site = site_file(tmp_path, f"id: door, role: tracking, source: {{file: {clip}}}")
    with started("run", site, folder=tmp_path, TRINETRA_MODELS_DIR=str(weights)) as process:
        first = weights / load_manifest().profile("default").models[0].file
        with first.open("wb"):  # which waits until the command reads it
            process.send_signal(number)
            _, said = process.communicate()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "fastapi", "scipy"])
def test_a_signal_while_the_program_is_read_ends_it_without_a_traceback(
    number: signal.Signals, module: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "trinetra.cli", "run", "--help"],
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        read_until(process.stderr, f" {module}.")
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode in {-number, 128 + number}
    assert "Traceback" not in said
