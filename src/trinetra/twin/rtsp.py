"""Serves recordings as RTSP cameras: starts and controls the ``gst_server`` child process."""

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
"""The Debian packages that are needed to serve a camera."""

_SCRIPT = Path(__file__).with_name("gst_server.py")
_STOP_WITHIN_S = 5.0


class ServerDied(TrinetraError):
    """The RTSP server exited unexpectedly; start it again."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The stream that one camera plays in a loop, at ``rtsp://host:port/NAME``.

    ``stream`` is an H.264 byte stream (Annex B) that starts with a key frame. ``units`` are its
    access units in decoding order: size in bytes, presentation and decoding time in ns, whether it
    is a key frame. ``period_ns`` is the length of one pass.
    """

    name: str
    stream: Path
    units: Sequence[tuple[int, int, int, bool]]
    period_ns: int


@dataclass(frozen=True, slots=True)
class Address:
    """Address to listen on; port 0 chooses a free one."""

    host: str = "127.0.0.1"
    port: int = 8554


@dataclass(frozen=True, slots=True)
class Viewer:
    """Credentials of a viewer, and the authentication scheme (RFC 2617)."""

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
        reasons[python] = str(answer.get("missing", "it cannot be run"))
    failures = "; ".join(f"{python}: {reason}" for python, reason in reasons.items())
    raise ConfigurationError(
        "GStreamer's RTSP server and its Python bindings are missing or incomplete "
        f"({failures}). On Debian or Ubuntu: sudo apt-get install {' '.join(PACKAGES)}"
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
    # -I keeps the script's folder out of the module path: its modules would shadow the standard
    # library's.
    return [str(python), "-I", str(_SCRIPT)]


def _message(line: bytes) -> Mapping[str, Any]:
    """Return the message of the script, or an empty one if it exited without a message."""
    message: Mapping[str, Any] = json.loads(line) if line.strip() else {}
    return message


class RtspServer:
    """RTSP cameras on this machine, served by a child process; a context manager.

    Clients may connect at any time, also while others watch; each recording plays from the start of
    the server, with or without viewers.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        address: Address | None = None,
        viewer: Viewer | None = None,
        *,
        python: Path | None = None,
    ) -> None:
        """Serve at least one recording; ``python`` must have GStreamer's bindings."""
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
        """Process id of the server, or None if it is not running."""
        return self._process.pid if self._process else None

    def url(self, name: str) -> str:
        """Return a camera's URL without credentials; the port is known once the server runs."""
        return f"rtsp://{_connectable(self._address.host)}:{self._port}/{name}"

    def start(self) -> None:
        """Start serving; the cameras can be opened when this returns.

        A server that was started before listens on the same port again. Raises ConfigurationError
        if GStreamer is incomplete or the address cannot be used.
        """
        python = self._python or find_gi_python()
        self._process = subprocess.Popen(  # noqa: S603 - our own script, no shell
            _command(python), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._port = self._port_from(self._ask(self._process))
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Block until the server exits unexpectedly, then raise ServerDied; never returns."""
        if self._process is not None:
            code = self._process.wait()
            raise ServerDied(f"the RTSP server exited with code {code}: start it again")

    def kill(self) -> None:
        """Kill the server at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Stop the server and wait until it has exited. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes the pipes and waits
            if process.stdin is not None:
                _close(process.stdin)
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _ask(self, process: "subprocess.Popen[bytes]") -> Mapping[str, Any]:
        """Send the configuration and return the answer; the password is sent on this pipe only."""
        if process.stdin is None or process.stdout is None:
            raise ServerDied("the RTSP server has no pipes: start it again")
        with suppress(BrokenPipeError):  # it exited early: its output tells why
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

    def _port_from(self, answer: Mapping[str, Any]) -> int:
        match answer:
            case {"port": int(port)}:
                return port
            case {"missing": reason}:
                raise ConfigurationError(
                    f"GStreamer is incomplete: {reason}. On Debian or Ubuntu: "
                    f"sudo apt-get install {' '.join(PACKAGES)}"
                )
            case {"failed": reason}:
                raise ConfigurationError(
                    f"{reason}: another program may be using it; choose another host or port"
                )
            case _:
                raise ServerDied("the RTSP server exited before it was ready: see its output above")


def _connectable(host: str) -> str:
    """Return the host name that reaches, from this machine, a server listening on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only


def _close(pipe: Any) -> None:
    with suppress(BrokenPipeError):  # the server has exited and did not read everything
        pipe.close()
