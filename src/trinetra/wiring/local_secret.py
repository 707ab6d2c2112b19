"""The secret by which commands on this machine authenticate, in the data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trinetra.adapters.disk.private_folder import explained, own_secret

_FILE = "web.secret"
_WHAT = "secret of local commands"


def local_secret(folder: Path) -> bytes:
    """Return the secret, made at the first call. Raises ConfigurationError or StorageFull."""
    with explained(_WHAT, folder):
        return own_secret(folder, _FILE)


def find_local_secret(folder: Path) -> bytes | None:
    """Return the secret; None if no web ran on this folder. Raises ConfigurationError."""
    with explained(_WHAT, folder):
        path = folder / _FILE
        return path.read_bytes() if path.exists() else None


@contextmanager
def borrowed_secret(folder: Path) -> Iterator[None]:
    """Leave a folder as it was after the block, whose web keeps its secret there."""
    was_there, had_secret = folder.exists(), (folder / _FILE).exists()
    try:
        yield
    finally:
        if not had_secret:
            (folder / _FILE).unlink(missing_ok=True)
        if not was_there and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
