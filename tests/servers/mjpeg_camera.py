"""An HTTP camera for tests: ``multipart/x-mixed-replace`` JPEGs, basic authentication."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class MjpegCamera:
    """Serves the pictures in turn, one every ``period_s``, on ``/video``; a context manager.

    ``starts_late`` leaves out the boundary before the first part. Every ``text_every``-th part is a
    text. ``body`` is sent instead of pictures, as ``content_type``; ``redirect`` is answered with.
    """

    def __init__(
        self,
        pictures: list[bytes],
        *,
        period_s: float = 0.04,
        user: str | None = None,
        password: str | None = None,
        starts_late: bool = False,
        text_every: int | None = None,
        body: bytes | None = None,
        redirect: str | None = None,
        content_type: str = "multipart/x-mixed-replace; boundary=frame",
    ) -> None:
        self._pictures = pictures
        self._starts_late = starts_late
        self._text_every = text_every
        self._body = body
        self._redirect = redirect
        self._content_type = content_type
        self.connections = 0
        self._period_s = period_s
        self._expected = f"{user}:{password}" if user is not None else None
        self._ended = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._serve(self)

            def log_message(self, *_: object) -> None:
                """Log nothing, to keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, name="mjpeg-camera")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/video"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def end(self) -> None:
        """End every stream, like a camera that is switched off."""
        self._ended.set()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        if not self._is_authorised(request.headers.get("Authorization", "")):
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="cam"')
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if not request.path.startswith("/video"):
            request.send_error(404)
            return
        self.connections += 1
        if self._redirect is not None:
            request.send_response(302)
            request.send_header("Location", self._redirect)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Type", self._content_type)
        if self._body is not None:
            request.send_header("Content-Length", str(len(self._body)))
        request.end_headers()
        if self._body is not None:
            request.wfile.write(self._body)
            return
        try:
            self._stream(request)
        except ConnectionError:
            return

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        number = 0
        while not self._ended.is_set():
            kind, part = "image/jpeg", self._pictures[number % len(self._pictures)]
            if self._text_every and number % self._text_every == self._text_every - 1:
                kind, part = "text/plain", b"hello"
            boundary = "" if self._starts_late and number == 0 else "--frame\r\n"
            head = f"{boundary}Content-Type: {kind}\r\nContent-Length: {len(part)}\r\n\r\n"
            request.wfile.write(head.encode() + part + b"\r\n")
            number += 1
            self._ended.wait(self._period_s)

    def _is_authorised(self, header: str) -> bool:
        if self._expected is None:
            return True
        return header == "Basic " + base64.b64encode(self._expected.encode()).decode()
