"""Compiled networks on disk, so that a process starts without compiling them again.

OpenVINO can keep a cache itself, but reads back whatever it finds there; here a file counts only
with the digest of its content. A cache that cannot be read or written costs time and nothing else.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from trinetra.adapters.disk.private_folder import make_private
from trinetra.telemetry import get_logger

_log = get_logger("inference")
_DIGEST_BYTES = hashlib.sha256().digest_size


class CompiledNetworkCache:
    """Bytes under a name; of each name only the entry of the latest ``origin`` is kept.

    The origin is all that the bytes depend on beside the name: the network's content, the engine's
    version, the machine. Processes may share a folder: entries are written whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, origin: str) -> bytes | None:
        """Return what was written, None if there is nothing or it is damaged."""
        path = self._path(name, origin)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            _log.warning("compiled network unreadable", path=str(path), cause=str(cause))
            return None
        digest, compiled = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(compiled).digest() != digest:
            _log.warning("compiled network damaged: it is compiled again", path=str(path))
            return None
        return compiled

    def write(self, name: str, origin: str, compiled: bytes) -> None:
        """Keep the bytes, and forget those of other origins; only a log entry tells of failure."""
        path = self._path(name, origin)
        try:
            make_private(self._folder)
            self._replace(path, hashlib.sha256(compiled).digest() + compiled)
            for other in self._folder.glob(f"{name}.*.blob"):
                if other != path:
                    other.unlink(missing_ok=True)
        except OSError as cause:
            _log.warning(
                "compiled network not kept: every start compiles it",
                path=str(path),
                cause=str(cause),
            )

    def _path(self, name: str, origin: str) -> Path:
        return self._folder / f"{name}.{hashlib.sha256(origin.encode()).hexdigest()[:16]}.blob"

    def _replace(self, path: Path, content: bytes) -> None:
        # A file of its own for each writer: lanes compile the same network at the same time.
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
