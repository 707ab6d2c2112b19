"""Size of a JPEG, PNG or WebP from its header, before a decoder allocates memory for its pixels."""

from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_START_OF_SCAN = b"\xff\xda"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of JPEG that begin a frame; the three others in their range are tables."""
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG without a length."""


class PhotoHeader(NamedTuple):
    """Format and size in pixels; ``scans`` is how often a progressive JPEG is refined."""

    format: str
    width: int
    height: int
    scans: int = 1

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


def photo_header(content: bytes) -> PhotoHeader | None:
    """Return what the header of a photo says; None if it is no JPEG, PNG or WebP."""
    if content.startswith(_PNG):
        return _of_png(content)
    if content.startswith(_JPEG):
        return _of_jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _of_webp(content)
    return None


def _of_png(content: bytes) -> PhotoHeader | None:
    if content[12:16] != b"IHDR" or len(content) < 24:  # noqa: PLR2004  as the format has it
        return None
    return PhotoHeader("PNG", _big(content[16:20]), _big(content[20:24]))


def _of_jpeg(content: bytes) -> PhotoHeader | None:
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:  # noqa: PLR2004  every marker begins with it
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # noqa: PLR2004  a byte to fill up
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            height, width = _big(content[at + 5 : at + 7]), _big(content[at + 7 : at + 9])
            # In the compressed data the byte FF is always escaped, so this finds markers alone.
            return PhotoHeader("JPEG", width, height, content.count(_START_OF_SCAN, at))
        else:
            at += 2 + _big(content[at + 2 : at + 4])
    return None


def _of_webp(content: bytes) -> PhotoHeader | None:
    if len(content) < 30:  # noqa: PLR2004  as the format has it
        return None
    match content[12:16]:
        case b"VP8X":
            width, height = (1 + _little(content[at : at + 3]) for at in (24, 27))
        case b"VP8 ":
            width, height = (_little(content[at : at + 2]) & 0x3FFF for at in (26, 28))
        case b"VP8L":
            bits = _little(content[21:25])
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            return None
    return PhotoHeader("WebP", width, height)


def _big(digits: bytes) -> int:
    return int.from_bytes(digits, "big")


def _little(digits: bytes) -> int:
    return int.from_bytes(digits, "little")
