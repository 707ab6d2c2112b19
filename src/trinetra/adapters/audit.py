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

from trinetra.adapters.private_folder import explained, make_private, write_all
from trinetra.values import Instant

Action = Literal[
    "enrol",
    "rename",
    "merge",
    "split",
    "dismiss",
    "show",
    "export",
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
        """Write a line and bring it to the disk. Raises StorageFull or ConfigurationError."""
        with explained(_WHAT, self._folder):
            make_private(self._folder)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                lines = self.path.read_bytes().splitlines()
                last = msgspec.json.decode(lines[-1], type=AuditLine) if lines else None
                line = AuditLine(
                    number=last.number + 1 if last else 1,
                    at=at,
                    by=getpass.getuser(),
                    action=action,
                    subject=subject,
                    detail=detail,
                    previous=last.hash if last else _FIRST,
                ).sealed()
                write_all(file, msgspec.json.encode(line) + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        return line

    def lines(self) -> list[AuditLine]:
        """Return what was done; raises msgspec.DecodeError for what is no line of this log."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=AuditLine) for line in text]

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the log, line by line; nothing where nobody touched it."""
        previous = _FIRST
        content = self.path.read_bytes().splitlines() if self.path.exists() else []
        for number, text in enumerate(content, 1):
            try:
                line = msgspec.json.decode(text, type=AuditLine)
            except msgspec.DecodeError as cause:
                yield f"line {number}: it is no line of an audit log ({cause})"
                return
            if line.number != number or line.previous != previous:
                yield f"line {number}: it does not follow on the line before it"
            if line != line.sealed():
                yield f"line {number}: it was changed"
            previous = line.hash
