"""Gallery archive in one file, for backup or transfer.

A line that names the format is followed by MessagePack messages, each preceded by its length
(unsigned 32-bit, little-endian): a Head, any number of Batches, and a Foot, whose digest (BLAKE2b,
256 bits) covers all preceding bytes. A file without a Foot is incomplete.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from trinetra.adapters.qdrant.points import StoredPoint, gallery_entry, stored_point
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.values import GalleryEntry

_FORMAT = b"TRINETRA gallery 1\n"
_LENGTH = struct.Struct("<I")
_MOST_BYTES = 256 << 20
_DIGEST_BYTES = 32
_ONLY_OWNER = 0o600


class Head(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The network that computed the embeddings, and their dimension."""

    model_version: str
    dimension: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Some of the entries."""

    points: list[StoredPoint]


class Foot(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The number of entries, and the digest of all preceding bytes."""

    entries: int
    digest: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Head | Batch | Foot] = msgspec.msgpack.Decoder(
    Head | Batch | Foot
)


@dataclass(frozen=True, slots=True)
class Contents:
    """Summary of a complete file."""

    model_version: str
    dimension: int
    entries: int


class GalleryFileWriter:
    """Writes entries to a gallery archive; created by ``writing``."""

    def __init__(self, file: BinaryIO, head: Head) -> None:
        self._file = file
        self._dimension = head.dimension
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self.entries = 0
        self._put(_FORMAT + _framed(head))

    def add(self, entries: Sequence[GalleryEntry]) -> None:
        """Write a batch of entries."""
        points = [stored_point(entry, self._dimension) for entry in entries]
        self._put(_framed(Batch(points)))
        self.entries += len(points)

    def finish(self) -> None:
        """Write the number of entries and the digest, and sync the file to disk."""
        self._put(_framed(Foot(self.entries, self._digest.digest())))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


@contextmanager
def writing(path: Path, model_version: str, dimension: int) -> Iterator[GalleryFileWriter]:
    """Write a file that only its owner may read; it gets its final name only once complete.

    Raises StorageFull, or ConfigurationError when the file cannot be written there.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)  # left by an export that was killed
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
        with _removed_on_failure(part), os.fdopen(handle, "wb") as file:
            writer = GalleryFileWriter(file, Head(model_version, dimension))
            yield writer
            writer.finish()
            part.replace(path)
    except OSError as cause:
        if cause.errno == errno.ENOSPC:
            raise StorageFull(f"{part}: no space left; free some and export again") from cause
        raise ConfigurationError(
            f"{path} cannot be written: {cause.strerror}; choose another path"
        ) from cause


@contextmanager
def _removed_on_failure(part: Path) -> Iterator[None]:
    """Remove an incomplete file on failure, because it contains faces."""
    try:
        yield
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check(path: Path, progress: Callable[[int], None] = lambda _: None) -> Contents:
    """Verify a whole file and return its summary; ``progress`` is called with each message's size.

    Raises ConfigurationError when the file is not a gallery archive, is damaged or is incomplete.
    """
    digest = hashlib.blake2b(_FORMAT, digest_size=_DIGEST_BYTES)
    head: Head | None = None
    entries = 0
    for body, message in _messages(path):
        progress(len(body))
        match message:
            case Head():
                head = message
            case Batch():
                entries += len(message.points)
            case Foot() if head is not None:
                if (message.entries, message.digest) != (entries, digest.digest()):
                    raise _unusable(path, "it is damaged: its digest differs")
                return Contents(head.model_version, head.dimension, entries)
        digest.update(_LENGTH.pack(len(body)) + body)
    raise _unusable(path, "its end is missing")


def read(path: Path) -> Iterator[list[GalleryEntry]]:
    """Yield the entries of a file that ``check`` has verified, in batches as written."""
    for _, message in _messages(path):
        if isinstance(message, Batch):
            yield [gallery_entry(point) for point in message.points]


def _messages(path: Path) -> Iterator[tuple[bytes, Head | Batch | Foot]]:
    try:
        with path.open("rb") as file:
            if file.read(len(_FORMAT)) != _FORMAT:
                raise _unusable(path, "it was not written by `trinetra gallery export`")
            while header := file.read(_LENGTH.size):
                body = _body(file, header)
                yield body, _decoder.decode(body)
    except (OSError, EOFError, UnicodeDecodeError, msgspec.DecodeError) as cause:
        raise _unusable(path, str(cause)) from cause


def _body(file: BinaryIO, header: bytes) -> bytes:
    if len(header) < _LENGTH.size:
        raise EOFError("its end is missing")
    (length,) = _LENGTH.unpack(header)
    if length > _MOST_BYTES:
        raise EOFError(f"it is damaged: a message of {length} bytes")
    body = file.read(length)
    if len(body) < length:
        raise EOFError("its end is missing")
    return body


def _framed(message: Head | Batch | Foot) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def _unusable(path: Path, fault: str) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be used: {fault}; export the gallery again")
