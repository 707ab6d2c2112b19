"""A text file that several people edit, some of them by hand: read, compare, replace, keep a copy.

Writers through this class take turns by a lock on the folder's lock file. An editor on this machine
takes no lock: the file is compared once more right before it is replaced, which leaves less than
a millisecond in which a save by hand is overwritten. What was overwritten is in the copies.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from trinetra.adapters.disk.private_folder import sync, write_all
from trinetra.errors import FileRefused
from trinetra.ports import Clock

MAX_COPIES = 50
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FileState:
    """The bytes of a file, and the digest that names this state of it."""

    content: bytes
    digest: str

    @classmethod
    def of(cls, content: bytes) -> "FileState":
        """Return the state with this content."""
        return cls(content, hashlib.sha256(content).hexdigest()[:32])


class FileChanged(Exception):
    """The file is no longer as the caller read it; ``state`` is what it is now."""

    def __init__(self, state: FileState) -> None:
        super().__init__(state.digest)
        self.state = state


class EditedFile:
    """One file, with copies of its earlier states in the folder ``NAME.history`` beside it."""

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int) -> None:
        self.path = path
        self._clock = clock
        self._max_bytes = max_bytes

    def read(self) -> FileState:
        """Return the present state. Raises FileRefused if it cannot be read or is too large."""
        with self._explained("read"), self.path.open("rb") as file:
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise FileRefused(f"{self.path} is larger than {self._max_bytes:,} bytes")
        return FileState.of(content)

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what changes with the file, cheaply; None if it cannot be read now."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def obstacle(self) -> str | None:
        """Return why the file cannot be written, None if nothing is known to prevent it."""
        target = self._target
        try:
            mode = target.stat().st_mode
        except OSError as cause:
            return f"{self.path} cannot be read: {_reason(cause)}"
        if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            return f"{self.path} is write-protected: chmod u+w {self.path}"
        if not (os.access(target, os.W_OK) and os.access(target.parent, os.W_OK)):
            return (
                f"this process may not write {self.path} and its folder: mount the folder "
                "writable, or give its user the right to"
            )
        return None

    def replace(self, text: str, digest: str) -> FileState:
        """Replace the content, if the file is still in the state with this digest.

        The mode and owner stay, the earlier state is kept as a copy. After a crash the file is the
        old or the new one. Raises FileChanged or FileRefused.
        """
        with self._locked():
            before = self._checked(digest)
            content = (_BOM if before.content.startswith(_BOM) else b"") + text.encode()
            if content == before.content:
                return before
            with self._explained("written"):
                self._keep(before)
                self._swap(content, digest)
        return FileState.of(content)

    def earlier(self, digest: str) -> FileState | None:
        """Return an earlier state from the copies, None if it is not among them."""
        name = next((n for n in self._copies() if digest[:_DIGEST_IN_NAME] in n.name), None)
        if name is None:
            return None
        with self._explained("read"):
            state = FileState.of(name.read_bytes())
        return state if state.digest == digest else None

    @property
    def _target(self) -> Path:
        """The file itself, if the path is a link to it: a rename must not replace the link."""
        return self.path.resolve()

    @property
    def _history(self) -> Path:
        return self._target.with_name(f"{self._target.name}.history")

    def _checked(self, digest: str) -> FileState:
        state = self.read()
        if state.digest != digest:
            raise FileChanged(state)
        return state

    def _swap(self, content: bytes, digest: str) -> None:
        target = self._target
        found = target.stat()
        new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                write_all(file, content)
                os.fchmod(file, stat.S_IMODE(found.st_mode))
                if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file, found.st_uid, found.st_gid)
                os.fsync(file)
            finally:
                os.close(file)
            self._checked(digest)
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync(target.parent)

    def _keep(self, state: FileState) -> None:
        """Copy a state into the history, and drop the oldest copies."""
        self._history.mkdir(mode=0o700, exist_ok=True)
        at = self._clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path = self._history / f"{at}-{state.digest[:_DIGEST_IN_NAME]}{self._target.suffix}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(file, state.content)
            os.fsync(file)
        finally:
            os.close(file)
        for old in self._copies()[MAX_COPIES:]:
            old.unlink(missing_ok=True)

    def _copies(self) -> list[Path]:
        """Return the copies, the newest first."""
        if not self._history.is_dir():
            return []
        return sorted((p for p in self._history.iterdir() if p.is_file()), reverse=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of all writers through this class; the system frees it with the process."""
        if obstacle := self.obstacle():
            raise FileRefused(obstacle)
        with self._explained("written"):
            path = self._target.with_name(f".{self._target.name}.lock")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            os.close(lock)
            raise FileRefused(f"{self.path} is being written right now: save again") from cause
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise FileRefused(f"{self.path} cannot be {done}: {_reason(cause)}") from cause


_DIGEST_IN_NAME = 16


def _reason(cause: OSError) -> str:
    reason = (cause.strerror or str(cause)).lower()
    match cause.errno:
        case errno.EROFS:
            return f"{reason}; mount its folder writable"
        case errno.EBUSY:
            return f"{reason}; mount the folder of the file, not the file alone"
        case errno.ENOSPC | errno.EDQUOT:
            return f"{reason}; free space"
    return reason
