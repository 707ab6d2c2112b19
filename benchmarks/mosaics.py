"""Writes mosaics of labeled recordings, in which people are small: a control for tiles.

    python benchmarks/mosaics.py OUT [--dir DIR]
    python benchmarks/tune.py tiles.json --dir OUT --fps 5 --no-stock

Each cell of a mosaic shows the same labeled recording, every second one mirrored, from another
moment on, to its end and back, again and again: people move without a jump, and all are labeled.
The picture has as many pixels for a person as the recording, but people are two or three times
smaller in it, as they are in a larger picture of a wider view.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.reading.footage import find_footage
from trinetra.settings import load_settings

_NOTES = Path(__file__).with_name("real.toml")
_CELLS = {"tud_stadtmitte": (2, 3), "tud_campus": (2, 3), "caviar_oneleaveshop1/cor": (2,)}
"""Cells along a side of each recording's mosaics."""
_QUALITY = 95
_NAMES_PER_CELL = 1000
_FPS = 25
_GRAY = 128
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def frames_of(view: LabeledView) -> list[Pixels]:
    """Return all pictures of a recording, gray where it has people without labels."""
    video, found = cv2.VideoCapture(str(view.source)), []
    while (read := video.read())[0]:
        picture = np.asarray(read[1], np.uint8)
        height, width = picture.shape[:2]
        for x1, y1, x2, y2 in view.ignored:
            picture[
                round(y1 * height) : round(y2 * height), round(x1 * width) : round(x2 * width)
            ] = _GRAY
        found.append(picture)
    return found


def labels_of(view: LabeledView) -> Floats:
    """Return the labels of a recording: frame, from 0, name, left, top, width and height."""
    if view.labels is None:
        raise SystemExit(f"{view.name} has no labels")
    rows = np.loadtxt(view.labels, delimiter=",", ndmin=2)
    labels = rows[rows[:, 6] != 0, :6]
    labels[:, 0] -= 1
    return labels


def there_and_back(count: int, start: int) -> Iterator[int]:
    """Yield ``count`` frame numbers: from ``start`` to the end, back to the begin, and so on."""
    circle = [*range(count), *range(count - 2, 0, -1)]
    for index in range(count):
        yield circle[(start + index) % len(circle)]


def write(view: LabeledView, side: int, folder: Path) -> None:
    """Write a mosaic of ``side`` by ``side`` cells as a MOTChallenge folder."""
    frames, labels = frames_of(view), labels_of(view)
    height, width = frames[0].shape[:2]
    cells = side * side
    orders = [list(there_and_back(len(frames), c * len(frames) // cells)) for c in range(cells)]
    (folder / "img1").mkdir(parents=True)
    rows: list[Floats] = []
    for at, shown in enumerate(zip(*orders, strict=True)):
        picture = np.zeros((height * side, width * side, 3), np.uint8)
        for cell, frame in enumerate(shown):
            top, left = (cell // side) * height, (cell % side) * width
            image = frames[frame][:, ::-1] if cell % 2 else frames[frame]
            picture[top : top + height, left : left + width] = image
            rows += _placed(labels[labels[:, 0] == frame], at, cell, (left, top), width)
        path = folder / "img1" / f"{at + 1:06}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    (folder / "gt.txt").write_text("".join(_line(row) for row in rows), encoding="utf-8")
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nframeRate={_FPS}\n", encoding="utf-8")


def _placed(
    labels: Floats, at: int, cell: int, corner: tuple[int, int], width: int
) -> list[Floats]:
    """Return a frame's labels where the cell shows them, each cell with names of its own."""
    placed = labels.copy()
    placed[:, 0] = at + 1
    placed[:, 1] += cell * _NAMES_PER_CELL
    if cell % 2:
        placed[:, 2] = width - labels[:, 2] - labels[:, 4]
    placed[:, 2:4] += corner
    return list(placed)


def _line(row: Sequence[float] | Floats) -> str:
    frame, name, left, top, width, height = row
    return f"{frame:.0f},{name:.0f},{left:.2f},{top:.2f},{width:.2f},{height:.2f},1,-1,-1,-1\n"


def main() -> None:
    """Read the arguments and write all mosaics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dir", type=Path, default=load_settings().real_dir)
    given = parser.parse_args()
    for view in find_footage(given.dir, _NOTES).views:
        for side in _CELLS.get(view.name, ()):
            write(view, side, given.out / f"{view.name.replace('/', '_')}_{side}x{side}")


if __name__ == "__main__":
    main()
