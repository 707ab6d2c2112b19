"""Files that are either complete and verified, or absent: digests, atomic writes, locks."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from trinetra.errors import StorageFull, TrinetraError

CHUNK_BYTES = 1 << 18
_FULL = {errno.ENOSPC, errno.EDQUOT}


class SourceFailed(TrinetraError):
    """A source could not deliver; the next one may."""


class CacheUnusable(TrinetraError):
    """The cache folder cannot be read or written."""


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Translate disk errors: StorageFull if the disk is full, else CacheUnusable."""
    try:
        yield
    except OSError as cause:
        if cause.errno in _FULL:
            raise full_disk(folder) from cause
        raise CacheUnusable(
            f"cannot use the cache folder {folder}: {cause}; "
            "make it writable, or choose another one with TRINETRA_CACHE_DIR"
        ) from cause


def full_disk(folder: Path) -> StorageFull:
    """Return the error for a disk without free space."""
    return StorageFull(
        f"no space left for {folder}: free some, or choose a folder on a larger disk with "
        "TRINETRA_CACHE_DIR, then start again; files that are already there are reused"
    )


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_digest(path: Path, sha256: str) -> bool:
    """Return whether the file exists and has this digest."""
    return path.exists() and sha256_of(path) == sha256


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file atomically; a crash leaves the old content or the new, never a part."""
    partial = path.with_name(f"{path.name}.new")
    with partial.open("wb") as file:
        file.write(content)
    publish(partial, path)


def publish(partial: Path, path: Path) -> None:
    """Rename a finished file to its final name after its bytes have been synced to disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def copy_at_most(source: IO[bytes], target: IO[bytes], limit_bytes: int) -> None:
    """Copy a stream. Raises SourceFailed as soon as it exceeds the limit."""
    copied = 0
    while chunk := source.read(CHUNK_BYTES):
        copied += len(chunk)
        if copied > limit_bytes:
            raise SourceFailed(f"more than the declared {limit_bytes} bytes; not the right file")
        target.write(chunk)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that it can be inspected, and return its new path."""
    return path.replace(path.with_name(f"{path.name}.damaged"))


def size_of_tree(folder: Path) -> int:
    """Return the bytes in all files of a folder that another process is writing to."""
    return sum(map(_size_or_zero, folder.rglob("*")))


def _size_or_zero(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # removed since it was listed
        return 0


def remove_tree(folder: Path) -> None:
    """Remove a folder with its content, if it exists."""
    if folder.exists():
        shutil.rmtree(folder)


@contextlib.contextmanager
def temp_copy_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that is removed afterwards; leftovers of a killed run go first.

    The caller must hold a lock that excludes others from the same path.
    """
    remove_tree(path)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove_tree(path)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file, so that processes that start together fetch a file only once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
