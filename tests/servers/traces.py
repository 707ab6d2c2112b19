"""Searches files for traces of a person: any 32 bytes of an embedding, and any mention of an id."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trinetra.values import Embedding

_WINDOW = 32
_PAGE = 4096


def traces(folder: Path, faces: Iterable[Embedding], names: Iterable[str]) -> dict[str, list[str]]:
    """Return the files below a folder that contain a name or a part of a face, and the kinds found.

    A face is searched as float32 and as float16, as given and normalized, in both byte orders.
    """
    needles = list(_windows(faces))
    found: dict[str, list[str]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = _written(file)
        kinds = [name for name in names if name.encode() in content]
        kinds += sorted({kind for kind, needle in needles if needle in content})
        if kinds:
            found[str(file.relative_to(folder))] = kinds
    return found


def _written(file: Path) -> bytes:
    """Return a file's bytes without empty pages, since engines allocate far more than they fill."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:  # a temporary file that was just deleted
        return b""
    whole = len(content) // _PAGE * _PAGE
    pages = np.frombuffer(content[:whole], np.uint8).reshape(-1, _PAGE)
    return pages[pages.any(axis=1)].tobytes() + content[whole:]


def _windows(faces: Iterable[Embedding]) -> Iterable[tuple[str, bytes]]:
    """Return aligned windows of a face; any 63 consecutive bytes of it contain one of them."""
    for face in faces:
        for vector in (face, face / np.linalg.norm(face)):
            for code in ("<f4", ">f4", "<f2", ">f2"):
                packed = vector.astype(code).tobytes()
                for start in range(0, len(packed) - _WINDOW + 1, _WINDOW):
                    yield f"face as {code}", packed[start : start + _WINDOW]
