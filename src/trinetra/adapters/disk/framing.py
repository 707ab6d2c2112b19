"""Frames of a disk log: payloads with a length, an offset and a checksum.

A frame is a header (magic, length of the payload, offset, CRC-32 of length, offset and payload; all
little-endian) and its payload. Behind damaged bytes, parsing resumes at the next magic that begins
a whole frame, so that damage costs only the frames it touches.
"""

import struct
import zlib
from typing import NamedTuple

MAGIC = b"\xd5TL\x02"
SUPERSEDED = (b"\xd5TS\x01", b"\xd5TJ\x01")
"""How segments began before spool and journal had one format."""
_HEADER = struct.Struct("<4sIQI")
HEADER_BYTES = _HEADER.size
_CHECKED = struct.Struct("<IQ")


class Frame(NamedTuple):
    """A whole frame, the bytes ``[start, end)`` of its segment."""

    start: int
    end: int
    offset: int
    payload: bytes


class Gap(NamedTuple):
    """Bytes ``[start, end)`` of a segment that belong to no whole frame."""

    start: int
    end: int


class Parsed(NamedTuple):
    """The contents of a segment; if it is torn, the last gap is an unfinished frame at its end."""

    frames: list[Frame]
    gaps: list[Gap]
    is_torn: bool = False


def encode_frame(offset: int, payload: bytes) -> bytes:
    """Return the frame of a payload."""
    size = len(payload)
    checksum = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(size, offset)))
    return _HEADER.pack(MAGIC, size, offset, checksum) + payload


def parse(data: bytes, start: int = 0) -> Parsed:
    """Return every whole frame of a segment's bytes from ``start`` on, and the gaps between."""
    frames: list[Frame] = []
    gaps: list[Gap] = []
    at = start
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is not None:
            frames.append(frame)
            at = frame.end
            continue
        resumed = _next_frame(data, at)
        gaps.append(Gap(at, len(data) if resumed is None else resumed))
        if resumed is None:
            return Parsed(frames, gaps, is_torn=_end_of_frame(data, at) is None)
        at = resumed
    return Parsed(frames, gaps)


def _frame_at(data: bytes, at: int) -> Frame | None:
    end = _end_of_frame(data, at)
    if end is None:
        return None
    _, _, offset, checksum = _HEADER.unpack_from(data, at)
    payload = data[at + HEADER_BYTES : end]
    if zlib.crc32(payload, zlib.crc32(_CHECKED.pack(len(payload), offset))) != checksum:
        return None
    return Frame(at, end, offset, payload)


def _end_of_frame(data: bytes, at: int) -> int | None:
    """Return where the frame that begins at ``at`` ends, None if the bytes end before it."""
    if len(data) - at < HEADER_BYTES:
        return None
    magic, length, _, _ = _HEADER.unpack_from(data, at)
    end = at + HEADER_BYTES + int(length)
    return end if magic == MAGIC and end <= len(data) else None


def _next_frame(data: bytes, at: int) -> int | None:
    """Return where the next whole frame behind ``at`` begins, None if there is none."""
    while (at := data.find(MAGIC, at + 1)) >= 0:
        if _frame_at(data, at) is not None:
            return at
    return None
