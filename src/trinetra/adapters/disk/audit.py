"""Audit log of operations on people's data: JSON lines, each with the hash of the previous line.

Only the operator is named in it; the people concerned appear as digests. Changing, removing or
inserting a line breaks the hash chain (S. Haber, W. S. Stornetta, How to time-stamp a digital
document, 1991). Truncation at the end can be detected only if the last hash is known from another
source; every receipt has it.
"""

import fcntl
import getpass
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from trinetra.adapters.disk.private_folder import explained, make_private, write_all
from trinetra.values import Instant

Action = Literal[
    "enrol",
    "rename",
    "merge",
    "split",
    "dismiss",
    "list",
    "show",
    "search",
    "export",
    "import",
    "forget",
    "forgotten",
    "declared_destroyed",
    "refused",
    "log_in",
    "add_user",
    "change_user",
    "set_password",
    "create_token",
    "revoke_token",
    "create_login_link",
    "change_setup",
    "view_faces",
    "record_for_audit",
]
_FIRST = "0" * 64
_TAIL_BYTES = 16 << 10
_WHAT = "audit log"


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: time, user, action, and the digest of the person concerned.

    ``action`` may be one of a newer version. Users and tokens are named, customers never.
    """

    number: int
    at: Instant
    by: str
    action: str
    subject: str
    detail: str = ""
    previous: str
    hash: str = ""

    def sealed(self) -> "AuditLine":
        """Return the line with the hash of all its other fields."""
        bare = msgspec.structs.replace(self, hash="")
        digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
        return msgspec.structs.replace(self, hash=digest)


class AuditLog:
    """The audit log in a folder that only its owner may read; a file lock serializes processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "audit.jsonl"

    def append(
        self,
        at: Instant,
        action: Action,
        subject: str,
        detail: str = "",
        *,
        by: str | None = None,
    ) -> AuditLine:
        """Append a line and sync it to disk. Raises StorageFull or ConfigurationError.

        ``by`` is a user of the API; without one it is the system user.
        A line that a crash cut short is left as it is, for ``faults`` to report; the new line is
        chained to the last complete one.
        """
        with explained(_WHAT, self._folder):
            make_private(self._folder)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                size = os.fstat(file).st_size
                last, broken_off = _end_of(file, size)
                line = AuditLine(
                    number=last.number + 1 if last else 1,
                    at=at,
                    by=by or _operator(),
                    action=action,
                    subject=subject,
                    detail=detail,
                    previous=last.hash if last else _FIRST,
                ).sealed()
                text = b"\n" * broken_off + msgspec.json.encode(line) + b"\n"
                _write_or_nothing(file, text, size)
            finally:
                os.close(file)
        return line

    def lines(self) -> list[AuditLine]:
        """Return the valid lines; ``faults`` reports the others."""
        return [line for line in map(_line, self._texts()) if line is not None]

    def faults(self) -> Iterator[str]:
        """Yield a message for each fault of the log; none if the log is intact."""
        before, previous = 0, _FIRST
        for place, text in enumerate(self._texts(), 1):
            line = _line(text)
            if line is None:
                yield f"line {place}: it is not an audit log entry; a write may have been cut off"
                continue
            if line.number != before + 1 or line.previous != previous:
                yield f"line {place}: it does not follow the line before it"
            if line != line.sealed():
                yield f"line {place}: it was changed"
            before, previous = line.number, line.hash

    def _texts(self) -> list[bytes]:
        with explained(_WHAT, self._folder):
            return self.path.read_bytes().splitlines() if self.path.exists() else []


def _end_of(file: int, size: int) -> tuple[AuditLine | None, bool]:
    """Return the last valid line of a file, and whether its end is in the middle of a line.

    Reads backwards, since every read of personal data appends a line and the log only grows.
    """
    reach = _TAIL_BYTES
    while True:
        start = max(0, size - reach)
        content = os.pread(file, size - start, start)
        texts = content.splitlines()[bool(start) :]  # the first one is cut, unless it is the first
        last = next(filter(None, map(_line, reversed(texts))), None)
        if last is not None or not start:
            return last, bool(content) and not content.endswith(b"\n")
        reach *= 4


def _line(text: bytes) -> AuditLine | None:
    try:
        return msgspec.json.decode(text, type=AuditLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _operator() -> str:
    """Return the name of the system user; in a container it may have only a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _write_or_nothing(file: int, text: bytes, size: int) -> None:
    """Append to a file of ``size`` bytes and sync it; on failure restore that size."""
    try:
        write_all(file, text)
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise
