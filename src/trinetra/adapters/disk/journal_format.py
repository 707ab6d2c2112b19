"""Entries of the journal to the bytes of a segment and back, whatever has happened to the bytes.

A segment is a row of blocks: a header (magic, length of the payload, CRC-32 of the payload, first
and last instant in it in microseconds, little-endian) and the entries in MessagePack, compressed
by Zstandard (RFC 8878). By the instants a reader passes by what it does not look for. Behind
damage, reading goes on at the next magic whose block is whole.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from cramjam import zstd

from trinetra.values import Instant, microseconds

MAGIC = b"\xd5TJ\x01"
_HEADER = struct.Struct("<4sIIqq")
HEADER_BYTES = _HEADER.size
_LEVEL = 1
"""Of compression: a third of the size for a microsecond a record; more levels gain next to none."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A record of the log, with where and when it was appended.

    Offsets begin anew with every process that writes the journal.
    """

    at: Instant
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


class Block(NamedTuple):
    """A whole block: where it ends, when its entries were appended, and they themselves, packed."""

    end: int
    first_us: int
    last_us: int
    payload: memoryview

    def entries(self) -> list[Entry]:
        """Return what the block holds."""
        return _decoder.decode(zstd.decompress(self.payload))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def pack(entries: Sequence[Entry], span_us: tuple[int, int] | None = None) -> bytes:
    """Return the entries as one block; ``span_us`` is what it stands for if not their own."""
    payload = bytes(zstd.compress(_encoder.encode(entries), _LEVEL))
    times = [microseconds(entry.at) for entry in entries]
    first_us, last_us = span_us or (min(times), max(times))
    return _HEADER.pack(MAGIC, len(payload), zlib.crc32(payload), first_us, last_us) + payload


def blocks_of(data: bytes) -> Iterator[Block]:
    """Yield the whole blocks in the bytes of a segment."""
    at = 0
    while 0 <= at < len(data):
        block = _block_at(data, at)
        if block is None:
            at = data.find(MAGIC, at + 1)
        else:
            yield block
            at = block.end


def first_us(header: bytes) -> int | None:
    """Return the first instant in the block that begins with these bytes, None if none does."""
    if len(header) < HEADER_BYTES:
        return None
    magic, _, _, found, _ = _HEADER.unpack_from(header)
    return int(found) if magic == MAGIC else None


def _block_at(data: bytes, at: int) -> Block | None:
    if len(data) - at < _HEADER.size:
        return None
    magic, length, checksum, first_us, last_us = _HEADER.unpack_from(data, at)
    start = at + _HEADER.size
    payload = memoryview(data)[start : start + length]
    if magic != MAGIC or len(payload) < length or zlib.crc32(payload) != checksum:
        return None
    return Block(start + length, first_us, last_us, payload)
