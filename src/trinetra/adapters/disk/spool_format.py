"""Records to the bytes of a spool's segment and back, whatever has happened to the bytes.

A record is a header (magic, length of the payload, CRC-32 of length and payload, little-endian) and
its payload in MessagePack. Behind damage, reading goes on at the next magic whose record is whole.
"""

import struct
import zlib
from typing import NamedTuple

import msgspec

from trinetra.ports import Record
from trinetra.values import Instant

MAGIC = b"\xd5TS\x01"
_HEADER = struct.Struct("<4sII")


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A record and when it was spooled."""

    spooled_at: Instant
    record: Record


class Placed(NamedTuple):
    """A stored record and the offset at which it ends in its segment."""

    end: int
    stored: Stored


class Gap(NamedTuple):
    """Bytes ``[start, end)`` of a segment that are no record."""

    start: int
    end: int


class Parsed(NamedTuple):
    """What a segment holds; from ``torn_at`` on it ends within a record that was being written."""

    placed: list[Placed]
    damaged: list[Gap]
    torn_at: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Stored)


def pack(stored: Stored) -> bytes:
    """Return the record as it stands in a segment."""
    payload = _encoder.encode(stored)
    return _HEADER.pack(MAGIC, len(payload), _checksum(payload)) + payload


def parse(data: bytes) -> Parsed:
    """Return every whole record in the bytes of a segment, and where there is something else."""
    placed: list[Placed] = []
    damaged: list[Gap] = []
    at = 0
    while at < len(data):
        here = _record_at(data, at)
        if here is not None:
            placed.append(here)
            at = here.end
            continue
        onward = _next_record(data, at)
        if onward is None and not _is_complete(data, at):
            return Parsed(placed, damaged, torn_at=at)
        damaged.append(Gap(at, len(data) if onward is None else onward))
        at = damaged[-1].end
    return Parsed(placed, damaged)


def _checksum(payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))


def _is_complete(data: bytes, at: int) -> bool:
    """Return whether a record seems to begin here that was written to its end."""
    if len(data) - at < _HEADER.size:
        return False
    magic, length, _ = _HEADER.unpack_from(data, at)
    return bool(magic == MAGIC and length <= len(data) - at - _HEADER.size)


def _record_at(data: bytes, at: int) -> Placed | None:
    if not _is_complete(data, at):
        return None
    _, length, checksum = _HEADER.unpack_from(data, at)
    start = at + _HEADER.size
    payload = memoryview(data)[start : start + length]
    if _checksum(payload) != checksum:
        return None
    try:
        return Placed(start + length, _decoder.decode(payload))
    except msgspec.MsgspecError:
        return None


def _next_record(data: bytes, at: int) -> int | None:
    while (at := data.find(MAGIC, at + 1)) >= 0:
        if _record_at(data, at) is not None:
            return at
    return None
