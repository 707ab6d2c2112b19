"""Temporary folders for copies of faces and for pictures, which exist only while a process runs.

They are in the data folder. The next process removes folders left by one that was killed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trinetra.adapters.disk.private_folder import explained, make_private

_WHAT = "temporary files"


@contextmanager
def temp_copy_folder(data_dir: Path) -> Iterator[Path]:
    """Create a folder that only its owner may read, and remove it after the block.

    Raises StorageFull or ConfigurationError.
    """
    root = data_dir / "tmp"
    with explained(_WHAT, root):
        make_private(root)
        # Under the root's lock no other process can mistake the new folder, which is not locked
        # yet, for a leftover.
        with _held(root):
            _remove_left_overs(root)
            folder = Path(tempfile.mkdtemp(dir=root))
            lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear_temp_copies(data_dir: Path) -> None:
    """Remove folders that killed processes left. Raises StorageFull or ConfigurationError."""
    root = data_dir / "tmp"
    if root.exists():
        with explained(_WHAT, root), _held(root):
            _remove_left_overs(root)


def _remove_left_overs(root: Path) -> None:
    for folder in root.iterdir():
        # A locked folder is in use; a missing one was just removed by its owner.
        with suppress(BlockingIOError, FileNotFoundError), _held(folder, fcntl.LOCK_NB):
            shutil.rmtree(folder)


@contextmanager
def _held(folder: Path, how: int = 0) -> Iterator[None]:
    lock = _lock(folder, how)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int = 0) -> int:
    """Lock a folder and return its descriptor; the kernel unlocks it when the process ends."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | how)
    except BaseException:
        os.close(file)
        raise
    return file
