"""Real servers and real service processes, to be killed, stopped, cut off and started again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trinetra.devservers.network import free_port
from trinetra.devservers.process import ServerMissing

_READY_S = 120.0


@dataclass
class Program:
    """A program that can be ended without warning and started again under the same name."""

    name: str
    command: list[str]
    folder: Path
    environ: dict[str, str]
    _running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log goes on in the same file."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TRINETRA_")}
        with self.log_path.open("ab") as log:
            self._running = subprocess.Popen(
                self.command,
                env=clean | self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log_path(self) -> Path:
        """Where it says what it does."""
        return self.folder / f"{self.name}.log"

    def tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self._running is not None and self._running.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; raises RuntimeError with its last words when it is not running."""
        if self._running is None or self._running.poll() is not None:
            raise RuntimeError(f"{self.name} is not running:\n{self.tail()}")
        self._running.send_signal(number)

    def kill(self) -> None:
        """End it without warning."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """End it in order, and return its exit code."""
        if self.is_running():
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        if self._running is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._running.wait()


@dataclass
class Process(Program):
    """A service of the product, with its health page."""

    port: int = 0

    def health(self) -> dict[str, Any]:
        """Return what its health page says, ready or not; empty while there is no page."""
        url = f"http://127.0.0.1:{self.port}/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return dict(json.load(page))
        except urllib.error.HTTPError as answer:
            return dict(json.load(answer))
        except (OSError, ValueError):  # no page, or half of one
            return {}

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all its series with these labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    def until_ready(self) -> float:
        """Return how long it took until it was ready."""
        return self.until(lambda page: page.get("status") == "ready")

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> float:
        """Return how long it took until the health page said something.

        Raises RuntimeError with its last words when it ended instead.
        """
        began_s = time.monotonic()
        while not holds(self.health()):
            if not self.is_running() or time.monotonic() - began_s > _READY_S:
                raise RuntimeError(f"{self.name} did not get that far:\n{self.tail()}")
            time.sleep(0.05)
        return time.monotonic() - began_s


def service(command: str, name: str, site: Path, folder: Path, environ: dict[str, str]) -> Process:
    """Return a process of one of the product's services, not yet started."""
    port = free_port()
    return Process(
        name,
        [sys.executable, "-m", "trinetra.cli", command, "--site", str(site)],
        folder,
        {
            **environ,
            "TRINETRA_INSTANCE": name,
            f"TRINETRA_{command.upper()}_PORT": str(port),
            "TRINETRA_LOG_JSON": "true",
        },
        port=port,
    )


@dataclass(frozen=True)
class HostClock:
    """The wall clock that a process reads, set by libfaketime; the monotonic clock is as it is."""

    file: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "HostClock":
        """Return a clock that shows the real time."""
        clock = cls(folder / "clock")
        clock.set(0)
        return clock

    def set(self, ahead_s: int) -> None:
        """Step the clock, so that it is this far ahead of the real time."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{ahead_s:+d}\n")
        written.replace(self.file)

    def environ(self) -> dict[str, str]:
        """Return what makes a process read this clock. Raises ServerMissing without libfaketime."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise ServerMissing("libfaketime is not installed: scripts/install-servers --all")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    """Keep programs for a block; what still runs is killed at its end."""
    with ExitStack() as stack:
        for program in programs:
            stack.callback(_end, program)
            program.start()
        yield


def _end(program: Program) -> None:
    if program.is_running():
        program.kill()
