"""Looks for traces of a person in files: any 32 bytes of an embedding, and any mention of an id."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trinetra.values import Embedding

_WINDOW = 32
_PAGE = 4096


def traces(folder: Path, faces: Iterable[Embedding], names: Iterable[str]) -> dict[str, list[str]]:
    """Return which files below a folder hold a part of a face or a name, and of which kind.

    A face is looked for as float32 and as float16, as given and at length one, in both byte orders.
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
    """Return a file without its empty pages: engines allocate far more than they fill."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:  # it was a temporary one
        return b""
    whole = len(content) // _PAGE * _PAGE
    pages = np.frombuffer(content[:whole], np.uint8).reshape(-1, _PAGE)
    return pages[pages.any(axis=1)].tobytes() + content[whole:]


def _windows(faces: Iterable[Embedding]) -> Iterable[tuple[str, bytes]]:
    """Return aligned windows: any 63 bytes of the face in a file hold one of them."""
    for face in faces:
        for vector in (face, face / np.linalg.norm(face)):
            for code in ("<f4", ">f4", "<f2", ">f2"):
                packed = vector.astype(code).tobytes()
                for start in range(0, len(packed) - _WINDOW + 1, _WINDOW):
                    yield f"face as {code}", packed[start : start + _WINDOW]
