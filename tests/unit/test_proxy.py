"""The proxy of the fault tests does to connections what its methods say."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import pytest
from tests.servers.proxy import Proxy, Way

from trinetra.devservers.network import HOST, free_port


class Echo:
    """A server that sends back what it gets; a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.registry_events = b""
        self._hears = threading.Condition()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def wait_until_heard(self, words: bytes) -> None:
        with self._hears:
            self._hears.wait_for(lambda: self.registry_events == words)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._echo, args=(connection,)))
                self._threads[-1].start()

    def _echo(self, connection: socket.socket) -> None:
        with suppress(ConnectionError), connection:
            while piece := connection.recv(65_536):
                with self._hears:
                    self.registry_events += piece
                    self._hears.notify_all()
                connection.sendall(piece)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port))


def echoed(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return received(connection, len(words))


def received(connection: socket.socket, size: int) -> bytes:
    back = b""
    while len(back) < size and (piece := connection.recv(65_536)):
        back += piece
    return back


def test_what_is_sent_comes_back_and_is_counted_each_way(proxy: Proxy) -> None:
    words = bytes(range(256)) * 1000
    with connect(proxy) as connection:
        assert echoed(connection, words) == words
        proxy.wait_until(lambda p: p.forwarded == dict.fromkeys(Way, len(words)))
    assert proxy.accepted == 1


def test_the_end_of_one_side_reaches_the_other(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert received(connection, 1000) == b"last words"
    proxy.wait_until(lambda p: p.connections == 0)


def test_a_slow_network_delivers_everything_all_the_same(proxy: Proxy) -> None:
    proxy.slow(latency_s=0.01, bytes_per_s=1e6)
    with connect(proxy) as connection:
        assert echoed(connection, b"x" * 20_000) == b"x" * 20_000


def test_a_reset_ends_connections_and_new_ones_are_welcome(proxy: Proxy) -> None:
    with connect(proxy) as old:
        echoed(old, b"here")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with connect(proxy) as new:
        assert echoed(new, b"again") == b"again"


def test_a_cut_resets_new_connections_too_until_it_is_healed(proxy: Proxy) -> None:
    proxy.cut()
    with connect(proxy) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    proxy.heal()
    with connect(proxy) as connection:
        assert echoed(connection, b"healed") == b"healed"


def test_who_is_refused_cannot_connect_until_it_is_healed(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy) as connection:
        assert echoed(connection, b"healed") == b"healed"


def test_a_stalled_connection_stays_and_goes_on_where_it_was(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        echoed(connection, b"before")
        proxy.stall()
        connection.sendall(b"meanwhile")
        with connect(proxy) as new:
            new.sendall(b"also new")
            proxy.wait_until(lambda p: p.connections == 2)
            assert echo.registry_events == b"before"
            proxy.heal()
            assert received(connection, len(b"meanwhile")) == b"meanwhile"
            assert received(new, len(b"also new")) == b"also new"


def test_replies_alone_can_be_lost_while_the_server_does_as_it_is_told(
    proxy: Proxy, echo: Echo
) -> None:
    with connect(proxy) as connection:
        echoed(connection, b"before")
        proxy.stall(Way.REPLIES)
        connection.sendall(b" done")
        echo.wait_until_heard(b"before done")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_server_that_is_not_there_looks_like_a_lost_connection() -> None:
    with (
        Proxy(free_port()) as proxy,
        connect(proxy) as connection,
        pytest.raises(ConnectionResetError),
    ):
        connection.recv(1)
