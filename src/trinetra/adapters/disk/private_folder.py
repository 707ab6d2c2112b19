"""Folders that only their owner may read, and helpers to lock, write and sync files in them."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trinetra.errors import ConfigurationError, StorageFull

_SECRET_BYTES = 32


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may read, and sync its name to disk.

    The mode of a folder that belongs to another user is not changed, because it may be a mounted
    volume.
    """
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    for part in missing:
        sync(part.parent)


def sync(path: Path) -> None:
    """Sync a file's bytes, or a folder's directory entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_private(what: str, folder: Path, *, separated_by: str) -> int:
    """Create a private folder and lock it; return the lock's open file.

    The system frees the lock however the process ends. ``separated_by`` names the setting that
    gives another process a folder of its own.

    Raises ConfigurationError, which names the process, if another one holds the lock.
    """
    make_private(folder)
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        owner = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise ConfigurationError(
            f"the {what} in {folder} is in use: process {owner} has it open; stop that process, "
            f"or give each its own {separated_by}"
        ) from cause
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return file


def write_all(file: int, data: bytes) -> None:
    """Write all bytes; a single ``os.write`` may write fewer."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def replace_file(path: Path, new: Path, data: bytes) -> None:
    """Replace a file by way of ``new``, durably: after a crash it is the old or the new one."""
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
    sync(path.parent)


def own_secret(folder: Path, name: str) -> bytes:
    """Return the secret in a file of a private folder, made at the first call.

    Of two processes that make one, the first wins.
    """
    make_private(folder)
    path = folder / name
    part = folder / f"{name}.{os.getpid()}.part"
    if not path.exists():
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(file, secrets.token_hex(_SECRET_BYTES).encode())
            os.fsync(file)
        finally:
            os.close(file)
        with suppress(FileExistsError):
            path.hardlink_to(part)
        part.unlink()
        sync(folder)
    return path.read_bytes()


@contextmanager
def explained(what: str, folder: Path) -> Iterator[None]:
    """Translate OSError into StorageFull or ConfigurationError, with advice for the user."""
    try:
        yield
    except OSError as cause:
        if cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"no space left for the {what} in {folder}; free some and restart"
            ) from cause
        reason = (cause.strerror or str(cause)).lower()
        raise ConfigurationError(
            f"the {what} in {folder} cannot be used: {reason}; fix that, or set another "
            "TRINETRA_DATA_DIR"
        ) from cause
