"""Normalizes the raw vectors of an embedding network."""

import numpy as np
from numpy.typing import NDArray

from trinetra.errors import EngineFailure

Floats = NDArray[np.float32]


def unit_vectors(raw: Floats, count: int, dimension: int) -> tuple[Floats, Floats]:
    """Return the vectors ``(count, dimension)`` at length 1, and their lengths before ``(count,)``.

    A zero or non-finite vector becomes zero, with length 0. Raises EngineFailure for another shape.
    """
    if raw.size != count * dimension or raw.shape[:2] != (count, dimension):
        raise EngineFailure(
            f"the embedder returned the shape {raw.shape}, but the manifest declares "
            f"{dimension} dimensions; correct the manifest or the model file"
        )
    flat = raw.reshape(count, dimension)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    usable = np.isfinite(norm) & (norm > 0)
    unit = np.where(usable, flat, 0.0) / np.where(usable, norm, 1.0)
    return unit.astype(np.float32), np.where(usable, norm, 0.0)[:, 0]
