"""Loopback ports: free ports, and a single request to a port."""

import random
import socket
from pathlib import Path

from trinetra.errors import ConfigurationError

HOST = "127.0.0.1"
_FIRST_PORT = 10_000
_LAST_PORT = 65_535
_RANGE_OF_CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LINUX_DEFAULT = "32768 60999"
_ATTEMPTS = 200
_ANSWER_WITHIN_S = 1.0


def free_port() -> int:
    """Return an unused loopback port that the kernel does not assign to clients.

    The kernel takes the local port of an outgoing connection from a range. A server port in that
    range could be assigned to a client while the server is down; and a client that keeps
    reconnecting to it could then be connected to itself.
    """
    chance = random.SystemRandom()
    candidates = _ports_of_servers()
    for port in chance.sample(candidates, min(_ATTEMPTS, len(candidates))):
        if is_free(port):
            return port
    raise ConfigurationError(
        "no free port on loopback: stop some of the programs that listen there"
    )


def _ports_of_servers() -> range:
    given = _RANGE_OF_CLIENTS.read_text() if _RANGE_OF_CLIENTS.exists() else _LINUX_DEFAULT
    first, last = map(int, given.split())
    below = range(_FIRST_PORT, min(first, _LAST_PORT))
    return below or range(last + 1, _LAST_PORT + 1) or range(_FIRST_PORT, _LAST_PORT + 1)


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def ask(port: int, question: bytes, *, at_least: int) -> bytes:
    """Send bytes to a loopback port and return a response of ``at_least`` bytes or more.

    Raises OSError if no server listens, or if no such response arrives within a second.
    """
    answer = b""
    with socket.create_connection((HOST, port), _ANSWER_WITHIN_S) as connection:
        connection.sendall(question)
        while len(answer) < at_least:
            if not (received := connection.recv(4096)):
                raise ConnectionResetError(f"port {port} closed the connection")
            answer += received
    return answer
