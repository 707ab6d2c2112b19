"""Embeds bodies: one network, which maps the picture of a person to a unit vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision.letterbox import BatchBuilder, InputSpec
from trinetra.detections.vision.vectors import unit_vectors
from trinetra.ports import Engine
from trinetra.values import ImageBgr


@dataclass(frozen=True, slots=True)
class BodyEmbedderSpec:
    """Format of the network that embeds bodies."""

    input: InputSpec
    dimension: int


class NetworkBodyEmbedder:
    """A BodyEmbedder on any engine; not thread-safe."""

    def __init__(self, engine: Engine, spec: BodyEmbedderSpec) -> None:
        self._engine = engine
        self._dimension = spec.dimension
        self._batch = BatchBuilder(spec.input)

    def embed(self, crops: Sequence[ImageBgr]) -> NDArray[np.float32]:
        """Return the unit vector of each body ``(n, dimension)``; zero if it has none.

        Raises EngineFailure.
        """
        if not crops:
            return np.zeros((0, self._dimension), np.float32)
        raw = self._engine.run(self._batch.build(crops)[0])[0]
        return unit_vectors(raw, len(crops), self._dimension)[0]
