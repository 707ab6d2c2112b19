"""Detector for people and vehicles: one network, with decoding and non-maximum suppression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trinetra.detections.vision import decode
from trinetra.detections.vision.letterbox import BatchBuilder, InputSpec, Stretch
from trinetra.ports import Engine
from trinetra.values import Detections, ImageBgr, Letterbox, no_detections

SURE_SCORE = 0.45
"""Score of a detection at its network's threshold, on the scale that all networks share."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """Input and output format of a detection network.

    ``class_names`` are its classes in order; only those in ``keep`` are detected. ``threshold`` is
    the raw score from which a detection is sure; ``min_score`` the least that is reported.
    ``normalized_boxes`` is True for a YOLOv8 export with boxes in 0..1 (TFLite), False for pixels.
    """

    decoder: Literal["nanodet", "yolov8", "detection_output", "boxes_and_labels"]
    input: InputSpec
    class_names: tuple[str, ...]
    keep: frozenset[str]
    min_score: float
    nms_iou: float
    normalized_boxes: bool = False
    threshold: float = SURE_SCORE

    def __post_init__(self) -> None:
        """Raise ValueError for classes that the network does not have."""
        if unknown := self.keep - set(self.class_names):
            raise ValueError(f"the network has no class {', '.join(sorted(unknown))}")


class NetworkDetector:
    """A Detector on any engine; not thread-safe."""

    def __init__(self, engine: Engine, spec: DetectorSpec) -> None:
        self._engine = engine
        self._spec = spec
        self._batch = BatchBuilder(spec.input)
        self._wanted: NDArray[np.intp] = np.array(
            [i for i, name in enumerate(spec.class_names) if name in spec.keep], np.intp
        )
        self._head = decode.Head(spec.input.width, spec.input.height, len(spec.class_names))
        self._labels = [spec.class_names[i] for i in self._wanted]

    def detect(self, images: Sequence[ImageBgr]) -> list[Detections]:
        """Return the objects of each image, in pixels of that image, best first.

        Scores are on the common scale, see ``common_score``. Raises EngineFailure.
        """
        if not images:
            return []
        tensor, boxes = self._batch.build(images)
        candidates = self._decode(self._engine.run(tensor))
        kept = decode.suppress(candidates, self._spec.nms_iou)
        found = [self._in_image(*each) for each in zip(kept, boxes, images, strict=False)]
        return found + [no_detections() for _ in range(len(images) - len(found))]

    def _decode(self, outputs: Sequence[NDArray[np.float32]]) -> decode.Candidates:
        head, wanted, spec = self._head, self._wanted, self._spec
        match spec.decoder:
            case "nanodet":
                return decode.nanodet(outputs, head, wanted, spec.min_score)
            case "detection_output":
                return decode.detection_output(outputs, head, wanted, spec.min_score)
            case "boxes_and_labels":
                return decode.boxes_and_labels(outputs, head, wanted, spec.min_score)
            case "yolov8":
                return decode.yolov8(
                    outputs, head, wanted, spec.min_score, normalized=spec.normalized_boxes
                )

    def _in_image(
        self, found: decode.Candidates, boxed: Letterbox | Stretch, image: ImageBgr
    ) -> Detections:
        corners = boxed.to_native(found.xyxy.reshape(-1, 2, 2))
        limits = np.array([image.shape[1], image.shape[0]], np.float32)
        xyxy = np.clip(corners, 0, limits).reshape(-1, 4)
        score = common_score(found.score, self._spec.threshold)
        return Detections(xyxy, score, tuple(self._labels[i] for i in found.category))


def common_score(raw: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Return raw scores ``(n,)`` of a network on the scale that all networks share.

    Networks differ in the score from which a detection is more likely right than wrong; thresholds
    of later stages do not. 0, the network's threshold and 1 become 0, SURE_SCORE and 1, values in
    between follow linearly.
    """
    common = np.interp(raw, [0.0, threshold, 1.0], [0.0, SURE_SCORE, 1.0])
    return np.asarray(common, np.float32)
