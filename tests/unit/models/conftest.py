"""A loopback web server with configurable faults, and models to fetch from it."""

import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trinetra.models.download import Downloader
from trinetra.models.manifest import FaceFinderModel, InputSpec, RemoteFile, UrlSource

BAD_REQUEST = 400


@dataclass
class Answer:
    """Configures the answer to one request; later requests are answered normally."""

    status: int = 200
    cut_after: int | None = None
    ignore_range: bool = False


@dataclass
class Site:
    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def remote(self, name: str, content: bytes | None = None) -> RemoteFile:
        content = self.files[name] if content is None else content
        return RemoteFile(
            url=f"{self.url}/{name}", name=name, sha256=sha256(content), size_bytes=len(content)
        )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        name, wanted = self.path.lstrip("/"), self.headers.get("Range")
        self.site.asked.append((name, wanted))
        answer = self.site.answers.pop(0) if self.site.answers else Answer()
        if answer.status >= BAD_REQUEST or name not in self.site.files:
            self.send_error(answer.status if answer.status >= BAD_REQUEST else 404)
            return
        self._send(self.site.files[name], None if answer.ignore_range else wanted, answer.cut_after)

    def _send(self, content: bytes, wanted: str | None, cut_after: int | None) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest if cut_after is None else rest[:cut_after])

    def log_message(self, *_arguments: object) -> None:
        """Suppress logging."""


@pytest.fixture
def site() -> Iterator[Site]:
    handler = type("Handler", (_Handler,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler.site
        server.shutdown()
        thread.join()


@dataclass
class Recorder:
    """A progress sink that records all calls."""

    begun: list[tuple[str, int | None]] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def begin(self, label: str, total_bytes: int | None) -> None:
        self.begun.append((label, total_bytes))

    def advance(self, label: str, done_bytes: int) -> None:
        self.reached[label] = done_bytes

    def end(self, label: str) -> None:
        self.ended.append(label)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def waits() -> list[float]:
    """Waiting times between the downloader's attempts."""
    return []


@pytest.fixture
def downloader(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloader]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Downloader(sleep=waits.append) as ready:
        yield ready


@pytest.fixture
def digest() -> Callable[[bytes], str]:
    return sha256


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def make_spec() -> Callable[..., FaceFinderModel]:
    def make(*sources: Any, content: bytes | None = None, **changes: Any) -> FaceFinderModel:
        own = {} if content is None else {"sha256": (sha256(content),), "size_bytes": len(content)}
        pixels = InputSpec(
            width=64, height=64, color="BGR", mean=(0, 0, 0), std=(1, 1, 1), pad_value=0
        )
        values = {
            "name": "tiny",
            "version": "tiny@1",
            "network": "a few bytes",
            "file": "tiny.onnx",
            "license": "MIT",
            "input": pixels,
            "decoder": "yunet",
            "score_threshold": 0.5,
            "nms_iou": 0.5,
            "strides": (8,),
            "source": sources,
        }
        return FaceFinderModel(**(values | own | changes))

    return make


@pytest.fixture
def url_source() -> Callable[..., UrlSource]:
    def make(*files: RemoteFile, convert: str | None = None) -> UrlSource:
        return UrlSource(files=files, convert=convert)

    return make


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so that no other process takes it, but does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def find_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks for packages."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
