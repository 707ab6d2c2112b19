"""Files that are either whole and checked, or not there: digests, atomic writes, locks."""

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
    """One source could not deliver; the next one may."""


class CacheUnusable(TrinetraError):
    """The cache folder cannot be read or written."""


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Translate what the disk refuses: StorageFull when it is full, else CacheUnusable."""
    try:
        yield
    except OSError as cause:
        if cause.errno in _FULL:
            raise full_disk(folder) from cause
        raise CacheUnusable(
            f"cannot use the cache folder {folder}: {cause}; "
            "make it writable or name another one with TRINETRA_CACHE_DIR"
        ) from cause


def full_disk(folder: Path) -> StorageFull:
    """Return the error that tells that no more bytes fit into a folder."""
    return StorageFull(
        f"no space left for {folder}: free some or name a folder on a larger disk with "
        "TRINETRA_CACHE_DIR, then start again; what is already here will be used"
    )


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_digest(path: Path, sha256: str) -> bool:
    """Tell whether the file is there and is the one with this digest."""
    return path.exists() and sha256_of(path) == sha256


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content; a crash leaves the old one or the new one, never a part."""
    partial = path.with_name(f"{path.name}.new")
    with partial.open("wb") as file:
        file.write(content)
    publish(partial, path)


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def copy_at_most(source: IO[bytes], target: IO[bytes], limit_bytes: int) -> None:
    """Copy a stream. Raises SourceFailed as soon as it is longer than the limit."""
    copied = 0
    while chunk := source.read(CHUNK_BYTES):
        copied += len(chunk)
        if copied > limit_bytes:
            raise SourceFailed(f"more than the declared {limit_bytes} bytes; not the right file")
        target.write(chunk)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that it can be looked at, and return its new path."""
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
    """Remove a folder and all in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


@contextlib.contextmanager
def temp_copy_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards; what a killed run left there goes first.

    The caller holds a lock that keeps others from the same path.
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
