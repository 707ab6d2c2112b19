"""Statistics of what a worker makes of faces of known people at several sizes and blurs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LEAST = 8
"""Fewer faces in a cell say nothing; the next larger size or smaller blur stands in."""


def measure_faces(
    person: NDArray[np.intp],
    found: NDArray[np.bool_],
    reason: NDArray[np.int8],
    measures: NDArray[np.float32],
    box: NDArray[np.float32],
    points: NDArray[np.float32],
    embedding: NDArray[np.float16],
) -> dict[str, Any]:
    """Return rates, measures and similarities by size and blur.

    All arrays are over photo, size, blur and take, see ``twin.portraits``; ``person`` over photos.
    """
    usable = found & (reason == 0)
    unusable = found & (reason > 0)
    sizes, blurs = found.shape[1:3]
    cells = [(s, b) for s in range(sizes) for b in range(blurs)]
    kinds = int(reason.max()) + 1
    per_cell = _filled(
        np.array([_similarity(person, usable, embedding, cell) for cell in cells]), sizes, blurs
    )
    takes = _filled(np.array([_takes(usable, embedding, cell) for cell in cells]), sizes, blurs)
    genuine, impostor = _pairs(person, usable, embedding)
    return {
        "reason": [
            (found & (reason == kind)).mean(axis=(0, 3)).round(4).tolist() for kind in range(kinds)
        ],
        "usable": _moments(measures, usable),
        "unusable": _moments(measures, unusable),
        "box": box[usable].mean(axis=0, dtype=np.float64).round(4).tolist(),
        "points": points[usable].mean(axis=0, dtype=np.float64).round(4).tolist(),
        "points_deviation": round(float(points[usable].std(axis=0).mean()), 4),
        "cosine": per_cell.round(4).tolist(),
        "cosine_of_takes": takes.round(4).tolist(),
        "cosine_deviation": round(float(genuine.std()), 4),
        "stranger_cosine": round(float(impostor.mean()), 4),
        "stranger_deviation": round(float(impostor.std()), 4),
        "stranger_highest": round(float(np.quantile(impostor, 0.9995)), 4),
        "people": int(person.max()) + 1,
        "photos": len(person),
    }


def _moments(measures: NDArray[np.float32], kept: NDArray[np.bool_]) -> list[Any]:
    """Return mean and deviation of faces, ``(sizes, blurs, measures, 2)``."""
    sizes, blurs = kept.shape[1:3]
    table = np.full((sizes, blurs, measures.shape[-1], 2), np.nan)
    for s in range(sizes):
        for b in range(blurs):
            here = measures[:, s, b][kept[:, s, b]]
            if len(here) >= _LEAST:
                table[s, b] = np.stack([here.mean(axis=0), here.std(axis=0)], axis=1)
    flat = table.reshape(sizes * blurs, -1)
    filled = np.stack([_filled(column, sizes, blurs) for column in flat.T], axis=-1)
    return filled.reshape(table.shape).round(3).tolist()  # type: ignore[no-any-return]


def _filled(values: Array, sizes: int, blurs: int) -> Array:
    """Return a table ``(sizes, blurs)`` in which empty cells have the value of the nearest one."""
    table = values.reshape(sizes, blurs)
    known = np.argwhere(~np.isnan(table))
    if not len(known):
        return np.zeros((sizes, blurs))
    filled = table.copy()
    for s, b in np.argwhere(np.isnan(table)):
        distance = np.abs(known - (s, b)).sum(axis=1)
        filled[s, b] = table[tuple(known[int(distance.argmin())])]
    return filled


def _similarity(
    person: NDArray[np.intp],
    usable: NDArray[np.bool_],
    embedding: NDArray[np.float16],
    cell: tuple[int, int],
) -> float:
    """Return the mean cosine of faces in a cell with the largest, sharp ones of other photos."""
    s, b = cell
    mine, best = usable[:, s, b, 0], usable[:, -1, 0, 0]
    if np.count_nonzero(mine) < _LEAST:
        return float("nan")
    one = embedding[:, s, b, 0].astype(np.float32)
    other = embedding[:, -1, 0, 0].astype(np.float32)
    same = (person[:, None] == person[None]) & ~np.eye(len(person), dtype=bool)
    same &= mine[:, None] & best[None]
    return float((one @ other.T)[same].mean())


def _takes(
    usable: NDArray[np.bool_], embedding: NDArray[np.float16], cell: tuple[int, int]
) -> float:
    """Return the mean cosine of two takes of one photo."""
    s, b = cell
    both = usable[:, s, b, 0] & usable[:, s, b, 1]
    if np.count_nonzero(both) < _LEAST:
        return float("nan")
    one, other = (embedding[both, s, b, take].astype(np.float32) for take in (0, 1))
    return float((one * other).sum(axis=1).mean())


def _pairs(
    person: NDArray[np.intp], usable: NDArray[np.bool_], embedding: NDArray[np.float16]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cosines of all pairs of large, sharp faces of one person, and of two."""
    rows = np.flatnonzero(usable[:, -1, 0, 0])
    vectors = embedding[rows, -1, 0, 0].astype(np.float32)
    cosine = vectors @ vectors.T
    upper = np.triu(np.ones(cosine.shape, np.bool_), 1)
    same = person[rows][:, None] == person[rows][None]
    return cosine[upper & same], cosine[upper & ~same]
