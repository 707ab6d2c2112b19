"""Face detection with five landmarks by one network, and face embedding by another."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trinetra.detections.vision import decode
from trinetra.detections.vision.align import SIDE
from trinetra.detections.vision.letterbox import BatchBuilder, InputSpec, Stretch
from trinetra.detections.vision.vectors import unit_vectors
from trinetra.ports import Engine
from trinetra.values import Faces, FaceVectors, ImageBgr, Letterbox, no_faces

_Size = tuple[int, int]
_CELL = 32
"""The coarsest stride: input sides must be multiples of it."""
_MAX_SIZES = 8
"""Number of batch arrays cached for different image sizes (12 MB each at 4 x 640 x 384)."""


@dataclass(frozen=True, slots=True)
class FaceFinderSpec:
    """Format of the face detection network; images keep their size, padded to whole cells."""

    input: InputSpec
    min_score: float = 0.6
    nms_iou: float = 0.3


@dataclass(frozen=True, slots=True)
class FaceEmbedderSpec:
    """Format of the network that embeds aligned faces."""

    input: InputSpec
    dimension: int = 512


class NetworkFaceReader:
    """A FaceReader on any two engines; not thread-safe."""

    def __init__(
        self,
        finder: Engine,
        finder_spec: FaceFinderSpec,
        embedder: Engine,
        embedder_spec: FaceEmbedderSpec,
    ) -> None:
        self._finder = finder
        self._spec = finder_spec
        self._embedder = embedder
        self._dimension = embedder_spec.dimension
        self._aligned = BatchBuilder(replace(embedder_spec.input, width=SIDE, height=SIDE))
        self._batches: OrderedDict[_Size, BatchBuilder] = OrderedDict()

    def find(self, images: Sequence[ImageBgr]) -> list[Faces]:
        """Return the faces of each image, in pixels of that image, best first.

        Images of about the same size share an engine call. Raises EngineFailure.
        """
        found = [no_faces() for _ in images]
        alike: defaultdict[_Size, list[int]] = defaultdict(list)
        for row, image in enumerate(images):
            alike[_whole_cells(image)].append(row)
        for size, rows in alike.items():
            faces = self._find_alike([images[row] for row in rows], size)
            for row, of_image in zip(rows, faces, strict=False):
                found[row] = of_image
        return found

    def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
        """Return the embeddings of aligned ``112 x 112`` faces.

        A face for which the network yields a zero or non-finite vector has norm 0. Raises
        EngineFailure.
        """
        if not aligned:
            return FaceVectors(np.zeros((0, self._dimension), np.float32), np.zeros(0, np.float32))
        raw = self._embedder.run(self._aligned.build(aligned)[0])[0]
        return FaceVectors(*unit_vectors(raw, len(aligned), self._dimension))

    def _find_alike(self, images: Sequence[ImageBgr], size: _Size) -> list[Faces]:
        tensor, boxes = self._builder(size).build(images)
        candidates = decode.yunet(
            self._finder.run(tensor), decode.Head(*size), self._spec.min_score
        )
        kept = decode.suppress(candidates, self._spec.nms_iou)
        return [_in_image(*found) for found in zip(kept, boxes, images, strict=False)]

    def _builder(self, size: _Size) -> BatchBuilder:
        if size not in self._batches:
            spec = replace(self._spec.input, width=size[0], height=size[1])
            self._batches[size] = BatchBuilder(spec)
            if len(self._batches) > _MAX_SIZES:
                self._batches.popitem(last=False)
        self._batches.move_to_end(size)
        return self._batches[size]


def _whole_cells(image: ImageBgr) -> _Size:
    height, width = image.shape[:2]
    return -(-width // _CELL) * _CELL, -(-height // _CELL) * _CELL


def _in_image(found: decode.Candidates, boxed: Letterbox | Stretch, image: ImageBgr) -> Faces:
    limits = np.array([image.shape[1], image.shape[0]], np.float32)
    corners = np.clip(boxed.to_native(found.xyxy.reshape(-1, 2, 2)), 0, limits)
    return Faces(corners.reshape(-1, 4), found.score, boxed.to_native(found.landmarks))
