"""A receiver of webhooks on loopback, which can be stopped, started again, and told to refuse."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Posted:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class WebhookReceiver:
    """Answers each request with ``status``, after ``before_answer`` if that is set."""

    status: int = 204
    location: str = ""
    posted: list[Posted] = field(default_factory=list)
    before_answer: asyncio.Event | None = None
    port: int = 0
    _server: asyncio.Server | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def wait_for(self, count: int) -> None:
        """Return once so many requests have arrived."""
        while len(self.posted) < count:
            self._news.clear()
            await self._news.wait()

    @property
    def ids(self) -> list[str]:
        return [each.message_id for each in self.posted]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")[:-2]
                pairs = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.posted.append(Posted(first.split()[1], headers, body, time.perf_counter()))
                self._news.set()
                if self.before_answer is not None:
                    await self.before_answer.wait()
                extra = f"Location: {self.location}\r\n" if self.location else ""
                answer = f"HTTP/1.1 {self.status} Answer\r\n{extra}Content-Length: 0\r\n\r\n"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender has closed the connection
        finally:
            self._writers.discard(writer)
            writer.close()
