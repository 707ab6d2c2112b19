"""A face without a usable vector is marked, and changes nothing for the faces beside it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.faces import (
    FaceEmbedderSpec,
    FaceFinderSpec,
    NetworkFaceEmbedder,
    NetworkFaceReader,
)
from trinetra.detections.vision.letterbox import InputSpec


class Fixed:
    """An engine that returns the given rows."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = np.array(rows, np.float32)

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        assert len(batch) == len(self.rows)
        return [self.rows]


def test_a_zero_or_non_finite_vector_has_norm_zero_and_others_are_of_unit_length() -> None:
    rows = [[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, -2.0]]
    spec = InputSpec(width=112, height=112)
    embedder = NetworkFaceEmbedder(Fixed(rows), FaceEmbedderSpec(spec, dimension=2))
    reader = NetworkFaceReader(Fixed([]), FaceFinderSpec(spec), embedder)
    unit, norm = reader.embed([np.zeros((112, 112, 3), np.uint8)] * len(rows))
    assert norm.tolist() == [5.0, 0.0, 0.0, 0.0, 2.0]
    assert unit.dtype == norm.dtype == np.float32
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [0, 0], [0, 0], [0, -1]], atol=1e-6)


def test_two_networks_together_have_the_mean_of_their_cosines() -> None:
    rng, spec = np.random.default_rng(3), InputSpec(width=112, height=112)
    rows = [rng.normal(size=(3, size)).astype(np.float32) for size in (4, 6)]
    rows[1][2] = 0  # one network has no vector of the third face
    parts = [NetworkFaceEmbedder(Fixed(r), FaceEmbedderSpec(spec, r.shape[1])) for r in rows]
    faces = [np.zeros((112, 112, 3), np.uint8)] * 3
    unit, norm = NetworkFaceReader(Fixed([]), FaceFinderSpec(spec), *parts).embed(faces)
    alone = [part.embed(faces) for part in parts]
    assert unit.shape == (3, 10)
    cosines = [float(each.unit[0] @ each.unit[1]) for each in alone]
    np.testing.assert_allclose(unit[0] @ unit[1], sum(cosines) / 2, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 1, 0], atol=1e-6)
    assert norm.tolist() == [*alone[0].norm[:2].tolist(), 0]
