"""Who did what to people's data: lines of JSON, each with the hash of the one before.

Nobody is named in it but whoever gave the order: people appear by digest. A line that was changed,
removed or put in breaks the chain (S. Haber, W. S. Stornetta, How to time-stamp a digital document,
1991). That lines were cut off at the end shows only where the last hash is known elsewhere, as on
every receipt.
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
    "export",
    "import",
    "forget",
    "forgotten",
    "refused",
]
_FIRST = "0" * 64
_WHAT = "audit log"


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One deed: when, by which user of the system, what, and to whom, by digest."""

    number: int
    at: Instant
    by: str
    action: Action
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
    """The audit log in a folder, which only its owner may look into; processes take turns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "audit.jsonl"

    def append(self, at: Instant, action: Action, subject: str, detail: str = "") -> AuditLine:
        """Write a line and bring it to the disk. Raises StorageFull or ConfigurationError.

        What a crash broke off is left as it is, for ``faults`` to tell: the line follows on the
        last whole one.
        """
        with explained(_WHAT, self._folder):
            make_private(self._folder)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                content = self.path.read_bytes()
                last = next(filter(None, map(_line, reversed(content.splitlines()))), None)
                line = AuditLine(
                    number=last.number + 1 if last else 1,
                    at=at,
                    by=_operator(),
                    action=action,
                    subject=subject,
                    detail=detail,
                    previous=last.hash if last else _FIRST,
                ).sealed()
                broken_off = content and not content.endswith(b"\n")
                text = b"\n" * bool(broken_off) + msgspec.json.encode(line) + b"\n"
                _write_or_nothing(file, text, len(content))
            finally:
                os.close(file)
        return line

    def lines(self) -> list[AuditLine]:
        """Return what was done, without what is no line of this log: see ``faults``."""
        return [line for line in map(_line, self._texts()) if line is not None]

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the log, line by line; nothing where nobody touched it."""
        before, previous = 0, _FIRST
        for place, text in enumerate(self._texts(), 1):
            line = _line(text)
            if line is None:
                yield f"line {place}: it is no line of an audit log; a write may have broken off"
                continue
            if line.number != before + 1 or line.previous != previous:
                yield f"line {place}: it does not follow on the line before it"
            if line != line.sealed():
                yield f"line {place}: it was changed"
            before, previous = line.number, line.hash

    def _texts(self) -> list[bytes]:
        with explained(_WHAT, self._folder):
            return self.path.read_bytes().splitlines() if self.path.exists() else []


def _line(text: bytes) -> AuditLine | None:
    try:
        return msgspec.json.decode(text, type=AuditLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _operator() -> str:
    """Return who gives the order; a container's user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _write_or_nothing(file: int, text: bytes, size: int) -> None:
    """Write behind the ``size`` bytes there are and bring it to the disk, or leave those alone."""
    try:
        write_all(file, text)
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise
