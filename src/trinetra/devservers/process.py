"""Runs a server program in a child process: start, wait until ready, kill, restart, stop."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from trinetra.devservers.network import HOST, is_free
from trinetra.errors import ConfigurationError, TrinetraError

_PROBE_EVERY_S = 0.02
_TAIL_LINES = 15

# The kernel kills a tethered server when the thread that started it ends. This executor's thread
# ends only with the process, whichever thread asked for the start.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devservers")
_RELEASED: list["subprocess.Popen[bytes]"] = []


class ServerMissing(ConfigurationError):
    """A server program is not installed; the message says how to install it."""


class ServerFailed(TrinetraError):
    """A server did not start, or exited unexpectedly; the message ends with the tail of its log."""


class LocalServer(ABC):
    """A server that listens only on loopback; a context manager that runs it.

    Port, data and log stay the same from one start to the next. Unless it is released, the server
    dies with this process, even if this process is killed.
    """

    name: str
    answers_within_s: float
    stops_within_s: float

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _prepare(self) -> None:
        """Write the files that the program reads when it starts."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server is ready to serve clients."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Output of the server, over all its starts."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """Process id, or None if the server is not running."""
        return self._process.pid if self._process else None

    def start(self, *, tethered: bool = True) -> None:
        """Start the server and return when it is ready.

        A server that is not ``tethered`` can be released. Raises ServerFailed if the server is
        already running, exits, or does not answer in time, and ServerMissing if the program is
        missing.
        """
        if self._process is not None:
            raise ServerFailed(f"{self._where()} is already running: stop it first")
        if not is_free(self.port):  # another program that listens there might answer in its place
            raise ServerFailed(
                f"{self._where()} cannot start: another program listens on that port"
            )
        self._write_files()
        command = [*(_tether() if tethered else ()), *self._command()]
        with self.log_file.open("ab") as log:
            self._process = _STARTER.submit(_spawn, command, log.fileno()).result()
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the server at once, as a power cut would; no effect if it is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> int | None:
        """Stop the server gracefully, kill it if it takes too long, and return its exit code.

        The code is None if it was not running, and that of SIGKILL, -9, if it took too long.
        """
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill the server and start it again on the same port and data."""
        self.kill()
        self.start()

    def suspend(self) -> None:
        """Suspend the server: its connections stay open, but it does not respond."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            # The stop takes effect with a delay. WEXITED also ends the wait if the process exits,
            # and WNOWAIT leaves its status to be collected later.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Resume a suspended server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def release(self) -> int:
        """Leave the server running when this process ends, and return its process id."""
        process, self._process = self._process, None
        if process is None:
            raise ServerFailed(f"{self._where()} is not running: start it first")
        # Popen warns when it is collected while its process runs; this process is meant to.
        _RELEASED.append(process)
        return process.pid

    def _end(self, how: signal.Signals) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a suspended process cannot exit
        try:
            return process.wait(self.stops_within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _write_files(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._prepare()
        except OSError as cause:
            raise ConfigurationError(f"{self.name} cannot use {self.folder}: {cause}") from cause

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        for _ in range(int(self.answers_within_s / _PROBE_EVERY_S)):
            if self.answers():
                return
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_PROBE_EVERY_S)
                raise ServerFailed(f"{self._where()} exited with code {code}{self._tail()}")
        raise ServerFailed(
            f"{self._where()} did not answer within {self.answers_within_s:g} s{self._tail()}"
        )

    def _where(self) -> str:
        return f"{self.name} on {self.address}"

    def _tail(self) -> str:
        with self.log_file.open(encoding="utf-8", errors="replace") as log:
            lines = deque(log, maxlen=_TAIL_LINES)
        return f". {self.log_file} ends with:\n  " + "  ".join(lines).rstrip()


def _spawn(command: Sequence[str], log: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - programs found on this machine, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is sent only to us, so that we stop the server in order
    )


def _tether() -> Sequence[str]:
    """Return the command prefix that makes the kernel kill the program when this process dies.

    Without it (util-linux not installed), a server outlives a parent that was killed.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
