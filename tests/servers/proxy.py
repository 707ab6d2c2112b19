"""TCP proxy on loopback that fails on command: delays, resets, stalls or refuses connections."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from enum import Enum
from typing import Self

from trinetra.devservers.network import HOST, free_port

_READ_BYTES = 16_384
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Way(Enum):
    """A direction through the proxy."""

    REQUESTS = "from the client to the server"
    REPLIES = "from the server to the client"


class Proxy:
    """Forwards connections to a loopback port; a context manager with its own thread.

    Methods are thread-safe and have taken effect when they return. Clients connect to ``port``,
    which stays the same.
    """

    def __init__(self, upstream_port: int, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.upstream_port = upstream_port
        self.accepted = 0
        """Number of connections accepted so far."""
        self.forwarded = dict.fromkeys(Way, 0)
        """Number of bytes forwarded so far."""
        self._latency_s = 0.0
        self._bytes_per_s = float("inf")
        self._cuts = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._open = {way: asyncio.Event() for way in Way}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._thread.start()
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def heal(self) -> None:
        """Accept and forward everything at full speed; stalled connections continue."""
        self._call(self._heal())

    def slow(self, *, latency_s: float = 0.1, bytes_per_s: float = 1e6) -> None:
        """Delay every chunk (at most 16 KiB), and limit the bytes per second in each direction."""
        self._latency_s, self._bytes_per_s = latency_s, bytes_per_s

    def reset(self) -> None:
        """Reset every connection (RST); new ones are accepted."""
        self._call(self._reset())

    def cut(self) -> None:
        """Reset every connection, and every new one as soon as it is accepted."""
        self._call(self._cut())

    def refuse(self) -> None:
        """Reset every connection and stop listening, so that new ones are refused."""
        self._call(self._refuse())

    def stall(self, *ways: Way) -> None:
        """Accept and keep connections, but forward nothing in these directions (default: both).

        This simulates a network that loses all packets, and a half-open connection. With only
        ``Way.REPLIES``, the server executes requests but its replies are lost.
        """
        self._call(self._close_gates(ways or Way))

    def wait_until(self, condition: Callable[[Self], bool]) -> None:
        """Return when the condition holds; it is evaluated after every new byte or connection."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self))

    def _call(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _heal(self) -> None:
        self._latency_s, self._bytes_per_s, self._cuts = 0.0, float("inf"), False
        for gate in self._open.values():
            gate.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _close_gates(self, ways: Iterable[Way]) -> None:
        for way in ways:
            self._open[way].clear()

    async def _cut(self) -> None:
        self._cuts = True
        await self._reset()

    async def _reset(self) -> None:
        connections = dict(self._connections)
        for task, writers in connections.items():
            for writer in writers:
                _reset(writer)
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._connections[task] = [writer]
        self._tell()
        try:
            await self._serve(reader, writer, self._connections[task])
        except asyncio.CancelledError:  # we reset it; Python 3.11 would log that as an error
            pass
        finally:
            for each in self._connections.pop(task):
                each.close()
            self._tell()

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        writers: list[asyncio.StreamWriter],
    ) -> None:
        if self._cuts:
            _reset(writer)
            return
        try:
            await self._forward(reader, writer, writers)
        except* OSError:  # one side is gone, so reset the other one too
            for each in writers:
                _reset(each)

    async def _forward(
        self,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        writers: list[asyncio.StreamWriter],
    ) -> None:
        # In a network that loses everything the server would not see the connection either.
        await self._open[Way.REQUESTS].wait()
        from_server, to_server = await asyncio.open_connection(HOST, self.upstream_port)
        writers.append(to_server)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(from_client, to_server, Way.REQUESTS))
            both.create_task(self._pump(from_server, to_client, Way.REPLIES))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        while piece := await reader.read(_READ_BYTES):
            if delay_s := self._latency_s + len(piece) / self._bytes_per_s:
                await asyncio.sleep(delay_s)
            await self._open[way].wait()
            writer.write(piece)
            await writer.drain()
            self.forwarded[way] += len(piece)
            self._tell()
        await self._open[way].wait()
        writer.write_eof()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
