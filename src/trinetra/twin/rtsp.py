"""Recordings as real RTSP cameras: the parent of ``gst_server``, the process that serves them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from trinetra.errors import ConfigurationError, TrinetraError

PACKAGES = (
    "python3-gi",
    "gir1.2-gst-rtsp-server-1.0",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
)
"""The Debian packages without which no camera is served."""

_SCRIPT = Path(__file__).with_name("gst_server.py")
_STOP_WITHIN_S = 5.0


class ServerDied(TrinetraError):
    """The RTSP server ended of its own accord; start it again."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What one camera plays in a loop, at ``rtsp://host:port/NAME``.

    ``stream`` is an H.264 byte stream (Annex B) that starts with a key frame. ``units`` are its
    access units in decoding order: bytes, presentation and decoding time in ns, whether it is a
    key frame. ``period_ns`` is the length of one pass.
    """

    name: str
    stream: Path
    units: Sequence[tuple[int, int, int, bool]]
    period_ns: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8554


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who may watch, and how clients prove that they are it (RFC 2617)."""

    username: str
    password: str = field(repr=False)
    scheme: Literal["digest", "basic"] = "digest"


def find_gi_python() -> Path:
    """Return a Python that can run GStreamer's RTSP server: this one, or the system's.

    Raises ConfigurationError naming the Debian packages to install.
    """
    found = (sys.executable, "/usr/bin/python3", shutil.which("python3"))
    reasons: dict[str, str] = {}
    for python in dict.fromkeys(candidate for candidate in found if candidate):
        answer = _probe(python)
        if "version" in answer:
            return Path(python)
        reasons[python] = str(answer.get("missing", "it does not run"))
    told = "; ".join(f"{python}: {reason}" for python, reason in reasons.items())
    raise ConfigurationError(
        "GStreamer's RTSP server and its Python bindings are needed and not complete here "
        f"({told}). On Debian or Ubuntu: sudo apt-get install {' '.join(PACKAGES)}"
    )


def _probe(python: str) -> Mapping[str, Any]:
    try:
        answer = subprocess.run(  # noqa: S603 - our own script, no shell
            [*_command(Path(python)), "--probe"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return _message(answer.stdout)


def _command(python: Path) -> list[str]:
    # -I keeps the script's folder out of the module path: its modules must not shadow Python's.
    return [str(python), "-I", str(_SCRIPT)]


def _message(line: bytes) -> Mapping[str, Any]:
    """Return what the script said; nothing where it ended before it could say anything."""
    message: Mapping[str, Any] = json.loads(line) if line.strip() else {}
    return message


class RtspServer:
    """RTSP cameras on this machine, in a child process; a context manager that serves meanwhile.

    Clients may come before, while and after others watch; each recording plays on from the start
    of the server, watched or not.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        address: Address | None = None,
        viewer: Viewer | None = None,
        *,
        python: Path | None = None,
    ) -> None:
        """Take at least one recording; ``python`` is one with GStreamer's bindings."""
        self._recordings = recordings
        self._address = address or Address()
        self._viewer = viewer
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._address.port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the server, None while it does not run."""
        return self._process.pid if self._process else None

    def url(self, name: str) -> str:
        """Return a camera's address, without credentials; the port is known once it serves."""
        return f"rtsp://{_connectable(self._address.host)}:{self._port}/{name}"

    def start(self) -> None:
        """Serve; when this returns, the cameras can be opened.

        A server that was started before listens on the same port again. Raises ConfigurationError
        where GStreamer is incomplete or the address cannot be had.
        """
        python = self._python or find_gi_python()
        self._process = subprocess.Popen(  # noqa: S603 - our own script, no shell
            _command(python), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._port = self._port_told(self._ask(self._process))
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return never, but raise ServerDied when the server ends of its own accord."""
        if self._process is not None:
            code = self._process.wait()
            raise ServerDied(f"the RTSP server ended with exit code {code}: start it again")

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """End the server and wait for its end; may be called more than once."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes the pipes, and waits
            if process.stdin is not None:
                _close(process.stdin)
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _ask(self, process: "subprocess.Popen[bytes]") -> Mapping[str, Any]:
        """Send the configuration (the password goes no other way) and return the answer."""
        if process.stdin is None or process.stdout is None:
            raise ServerDied("the RTSP server has no pipes: start it again")
        with suppress(BrokenPipeError):  # it ended early: what it said before tells why
            process.stdin.write(json.dumps(self._config()).encode() + b"\n")
            process.stdin.flush()
        return _message(process.stdout.readline())

    def _config(self) -> dict[str, Any]:
        return {
            "host": self._address.host,
            "port": self._port,
            "username": self._viewer.username if self._viewer else None,
            "password": self._viewer.password if self._viewer else None,
            "scheme": self._viewer.scheme if self._viewer else None,
            "cameras": [asdict(r) | {"stream": str(r.stream)} for r in self._recordings],
        }

    def _port_told(self, answer: Mapping[str, Any]) -> int:
        match answer:
            case {"port": int(port)}:
                return port
            case {"missing": reason}:
                raise ConfigurationError(
                    f"GStreamer is not complete: {reason}. On Debian or Ubuntu: "
                    f"sudo apt-get install {' '.join(PACKAGES)}"
                )
            case {"failed": reason}:
                raise ConfigurationError(
                    f"{reason}: another program may listen there; choose another host or port"
                )
            case _:
                raise ServerDied("the RTSP server ended before it was ready: see its output above")


def _connectable(host: str) -> str:
    """Return the host under which this machine itself finds a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only


def _close(pipe: Any) -> None:
    with suppress(BrokenPipeError):  # the server is gone already, with what it had not read
        pipe.close()
