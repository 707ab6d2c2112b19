"""Face detection with five landmarks by one network, and face embedding by another."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trinetra.detections.vision import decode
from trinetra.detections.vision.align import retail_crop
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
    """Format of a network that embeds aligned faces, in the crop of its own ``template``."""

    input: InputSpec
    dimension: int = 512
    template: Literal["arcface", "retail"] = "arcface"


class NetworkFaceEmbedder:
    """Embeds aligned faces on any engine; not thread-safe."""

    def __init__(self, engine: Engine, spec: FaceEmbedderSpec) -> None:
        self._engine = engine
        self._dimension = spec.dimension
        self._crops_again = spec.template == "retail"
        self._batch = BatchBuilder(spec.input)

    def embed(self, aligned: Sequence[ImageBgr]) -> FaceVectors:
        """Return the embeddings of aligned ``112 x 112`` faces. Raises EngineFailure."""
        if not aligned:
            return FaceVectors(np.zeros((0, self._dimension), np.float32), np.zeros(0, np.float32))
        crops = [retail_crop(face) for face in aligned] if self._crops_again else aligned
        raw = self._engine.run(self._batch.build(crops)[0])[0]
        return FaceVectors(*unit_vectors(raw, len(crops), self._dimension))


class NetworkFaceReader:
    """A FaceReader on any engines; not thread-safe.

    With several embedders, a face has the concatenation of their vectors at length 1, so that the
    cosine of two faces is the mean of their cosines.
    """

    def __init__(
        self,
        finder: Engine,
        finder_spec: FaceFinderSpec,
        *embedders: NetworkFaceEmbedder,
    ) -> None:
        self._finder = finder
        self._spec = finder_spec
        self._embedders = embedders
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

        A face for which a network yields a zero or non-finite vector has norm 0; the norm is that
        of the first network's vector. Raises EngineFailure.
        """
        parts = [embedder.embed(aligned) for embedder in self._embedders]
        unit = np.concatenate([part.unit for part in parts], axis=1) / np.sqrt(len(parts))
        usable = np.all([part.norm > 0 for part in parts], axis=0)
        norm = np.where(usable, parts[0].norm, 0)
        return FaceVectors(np.where(usable[:, None], unit, 0).astype(np.float32), norm)

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
