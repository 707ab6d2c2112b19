"""One file of pictures that only its owner may read, bounded in size and erased as a whole."""

import os
import threading
from pathlib import Path

from trinetra.adapters.disk.private_folder import explained

_WHAT = "recorded pictures"


class PictureFile:
    """Pictures one after the other; where each begins is only in memory. It is thread-safe."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Create the file. Raises StorageFull or ConfigurationError."""
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._ends = [0]
        with explained(_WHAT, path.parent):
            self._file: int | None = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )

    @property
    def size_bytes(self) -> int:
        """Bytes of all pictures."""
        return self._ends[-1]

    def append(self, picture: bytes) -> bool:
        """Add a picture; return False if there is no room for it, or the file was erased.

        Raises StorageFull or ConfigurationError; then the picture is not added.
        """
        with self._lock, explained(_WHAT, self._path.parent):
            end = self._ends[-1]
            if self._file is None or end + len(picture) > self._max_bytes:
                return False
            rest = memoryview(picture)
            while rest:
                written = os.pwrite(self._file, rest, end)
                rest, end = rest[written:], end + written
            self._ends.append(end)
            return True

    def read(self, number: int) -> bytes | None:
        """Return a picture, counted from 0; None if there is none or the file was erased.

        Raises ConfigurationError.
        """
        with self._lock, explained(_WHAT, self._path.parent):
            if self._file is None or not 0 <= number < len(self._ends) - 1:
                return None
            begin, end = self._ends[number], self._ends[number + 1]
            return os.pread(self._file, end - begin, begin)

    def erase(self) -> None:
        """Delete the file; may be called again."""
        with self._lock:
            if self._file is not None:
                self._path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None
