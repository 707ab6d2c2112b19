"""Blocks of the journal: entries that were written together, as the payload of one frame.

A block is the first and the last instant in it (microseconds since 1970, little-endian) and the
entries in MessagePack, compressed by Zstandard (RFC 8878). The instants let a reader skip blocks
without decompressing them.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from cramjam import zstd

from trinetra.values import Instant, microseconds

_SPAN = struct.Struct("<qq")
SPAN_BYTES = _SPAN.size
_LEVEL = 1
"""Of compression: a third of the size for a microsecond a record; more levels gain next to none."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A record of the log, with where and when it was appended.

    Offsets begin at zero again with every process that writes the journal.
    """

    at: Instant
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


class Span(NamedTuple):
    """First and last instant of appending in a block, in microseconds since 1970."""

    first_us: int
    last_us: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def span_of(entries: Sequence[Entry]) -> Span:
    """Return the first and the last instant of entries."""
    times = [microseconds(entry.at) for entry in entries]
    return Span(min(times), max(times))


def encode_block(entries: Sequence[Entry], span: Span) -> bytes:
    """Return the block of entries; the span stays when entries are erased from a block."""
    return _SPAN.pack(*span) + bytes(zstd.compress(_encoder.encode(entries), _LEVEL))


def decode_span(block: bytes) -> Span:
    """Return the instants of a block, of which the first bytes are enough."""
    return Span(*_SPAN.unpack_from(block))


def decode_entries(block: bytes) -> list[Entry]:
    """Return the entries of a block."""
    return _decoder.decode(zstd.decompress(memoryview(block)[SPAN_BYTES:]))
