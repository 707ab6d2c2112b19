"""Copies that hold faces, for the time of one command: in the data folder, and never left behind.

What a process that was killed left is removed by whoever comes next.
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
    """Make a folder that only its owner may look into, and remove it in the end.

    Raises StorageFull or ConfigurationError.
    """
    root = data_dir / "tmp"
    with explained(_WHAT, root):
        make_private(root)
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
    """Remove what processes left that were killed. Raises StorageFull or ConfigurationError."""
    root = data_dir / "tmp"
    if root.exists():
        with explained(_WHAT, root), _held(root):
            _remove_left_overs(root)


def _remove_left_overs(root: Path) -> None:
    for folder in root.iterdir():
        # Somebody is at work there, or has just been.
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
    """Return the open lock of a folder; the system frees it however the process ends."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | how)
    except BaseException:
        os.close(file)
        raise
    return file
