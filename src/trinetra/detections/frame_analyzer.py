"""Synchronous analysis of buffered frames: decode, detect, embed, and build detection events."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.detections.body_crops import body_crops
from trinetra.detections.closer_look import landmarks_in
from trinetra.detections.event_builder import (
    CameraPlan,
    FaceFinding,
    SeenFaces,
    face_findings,
    object_boxes,
    seen_faces,
)
from trinetra.detections.frame_plates import ViewedVehicles, read_plates
from trinetra.detections.plate_turns import PlateTurns
from trinetra.detections.vision.picture import Picture, PictureLimits, open_picture
from trinetra.detections.vision.quality import QualityPolicy
from trinetra.detections.vision.tiles import Tile, join, tiles
from trinetra.errors import EngineFailure, FrameRejected
from trinetra.events.codec import pack_body
from trinetra.events.plates import PlateKey
from trinetra.events.schema import DetectionEvent, FaceBox, ObjectBox
from trinetra.ports import BodyEmbedder, Detector, FaceReader, PlateReader
from trinetra.values import (
    CameraId,
    Detections,
    Embedding,
    EventId,
    Frame,
    SiteId,
    derive_id,
)

Opened = Picture | FrameRejected
AnalyzedFrame = DetectionEvent | FrameRejected
Timer = Callable[[str], AbstractContextManager[object]]

_WARM_UP_SIZE = (360, 640, 3)
_ALIGNED_SIZE = (112, 112, 3)
_MOST_AT_ONCE = 16
"""Pictures and tiles in one call of a detector, which keeps memory for as many."""


@dataclass(frozen=True, slots=True)
class FrameAnalyzerConfig:
    """Settings for the analysis of one site's frames.

    ``models`` maps a task to the version of its network, which the events carry; ``detectors`` maps
    the names of detectors to their versions. Without ``plate_key`` no plates are read.
    """

    site_id: SiteId
    plans: Mapping[CameraId, CameraPlan]
    models: Mapping[str, str] = field(default_factory=dict)
    detectors: Mapping[str, str] = field(default_factory=dict)
    quality: QualityPolicy = field(default_factory=QualityPolicy)
    limits: PictureLimits = field(default_factory=PictureLimits)
    plate_key: PlateKey | None = None


def _need_detectors(
    plans: Mapping[CameraId, CameraPlan], detectors: Mapping[str, Detector]
) -> None:
    if unknown := {plan.detector for plan in plans.values()} - set(detectors):
        raise ValueError(f"no detector {', '.join(sorted(unknown))} is loaded")


class FrameAnalyzer:
    """Converts batches of frames to detection events; not thread-safe.

    An unusable frame results in its FrameRejected instead of an event.
    """

    def __init__(
        self,
        config: FrameAnalyzerConfig,
        detectors: Mapping[str, Detector],
        faces: FaceReader,
        timed: Timer = lambda _task: nullcontext(),
        *,
        bodies: BodyEmbedder | None = None,
        plates: PlateReader | None = None,
    ) -> None:
        """Create an analyzer.

        ``detectors`` has those that the plans name; ``timed`` measures a block under the name of
        its task. Raises ValueError for a plan whose detector is missing.
        """
        _need_detectors(config.plans, detectors)
        self._config = self._next_config = config
        self._detectors = detectors
        self._faces = faces
        self._bodies = bodies
        self._plates = plates
        self._turns = PlateTurns()
        self._timed = timed

    def change(self, plans: Mapping[CameraId, CameraPlan]) -> None:
        """Analyze by these plans from the next batch on; may be called from another thread.

        Raises ValueError for a plan whose detector is missing.
        """
        _need_detectors(plans, self._detectors)
        self._next_config = replace(self._next_config, plans=plans)

    def warm_up(self, count: int) -> None:
        """Run every network on a batch of ``count`` blank frames. Raises EngineFailure.

        Engines compile for each batch size at its first use, which would delay frames later.
        """
        blank = [np.zeros(_WARM_UP_SIZE, np.uint8)] * count
        for detector in self._detectors.values():
            detector.detect(blank)
        if any(plan.reads_faces for plan in self._config.plans.values()):
            self._faces.find(blank)
            vectors = self._faces.embed([np.zeros(_ALIGNED_SIZE, np.uint8)] * count)
            if not vectors.norm.all():
                raise EngineFailure(
                    "the face embedder returned a zero or non-finite vector; "
                    "try the precision f32, or fetch the model again"
                )
        if self._bodies and any(plan.bodies for plan in self._config.plans.values()):
            self._bodies.embed(blank)
        if self._plates and any(plan.plates for plan in self._config.plans.values()):
            self._plates.warm_up()

    def work(self, frames: Sequence[Frame]) -> list[AnalyzedFrame]:
        """Return for every frame, in order, its event or its rejection. Raises EngineFailure."""
        self._config = self._next_config
        opened = [self._opened(frame) for frame in frames]
        pictures = [picture for picture in opened if isinstance(picture, Picture)]
        bodies = self._with_bodies(pictures, self._objects(pictures))
        objects = self._with_plates(pictures, bodies)
        faces = self._embedded(self._findings(pictures))
        events = iter([self._event(*seen) for seen in zip(pictures, objects, faces, strict=True)])
        return [next(events) if isinstance(one, Picture) else one for one in opened]

    def _opened(self, frame: Frame) -> Opened:
        if frame.camera_id not in self._config.plans:
            return FrameRejected(
                f"the site file has no camera {frame.camera_id}", reason="unknown_camera"
            )
        try:
            return open_picture(frame, self._config.limits)
        except FrameRejected as rejection:
            return rejection

    def _plan(self, picture: Picture) -> CameraPlan:
        return self._config.plans[picture.frame.camera_id]

    def _objects(self, pictures: Sequence[Picture]) -> list[tuple[ObjectBox, ...]]:
        seen: list[tuple[ObjectBox, ...]] = [() for _ in pictures]
        plans = [self._plan(picture) for picture in pictures]
        for name, detector in self._detectors.items():
            rows = [row for row, p in enumerate(plans) if p.labels and p.detector == name]
            if not rows:
                continue
            parts = [_tiles(pictures[row], plans[row]) for row in rows]
            with self._timed("detect"):
                found = iter(_detect_in(detector, [pictures[row] for row in rows], parts))
            for row, of_one in zip(rows, parts, strict=True):
                objects = join(of_one, [next(found) for _ in of_one])
                seen[row] = object_boxes(pictures[row], objects, plans[row])
        return seen

    def _with_bodies(
        self, pictures: Sequence[Picture], objects: Sequence[tuple[ObjectBox, ...]]
    ) -> Sequence[tuple[ObjectBox, ...]]:
        """Embed the well-visible bodies of all pictures in one call."""
        crops = {
            (row, column): crop
            for row, (picture, seen) in enumerate(zip(pictures, objects, strict=True))
            if self._bodies and (policy := self._plan(picture).bodies)
            for column, crop in body_crops(picture, seen, policy).items()
        }
        if not self._bodies or not crops:
            return objects
        with self._timed("body_embed"):
            vectors = self._bodies.embed(list(crops.values()))
        packed = {
            place: pack_body(vector)
            for place, vector in zip(crops, vectors, strict=True)
            if vector.any()
        }
        return [
            tuple(
                msgspec.structs.replace(each, body=packed.get((row, column)))
                for column, each in enumerate(seen)
            )
            for row, seen in enumerate(objects)
        ]

    def _with_plates(
        self, pictures: Sequence[Picture], objects: Sequence[tuple[ObjectBox, ...]]
    ) -> Sequence[tuple[ObjectBox, ...] | FrameRejected]:
        """Read the plates of vehicles where the camera's plan asks for it."""
        key, result = self._config.plate_key, list[tuple[ObjectBox, ...] | FrameRejected](objects)
        if self._plates is None or key is None:
            return result
        seen: dict[int, ViewedVehicles] = {}
        for row, (picture, found) in enumerate(zip(pictures, objects, strict=True)):
            if policy := self._plan(picture).plates:
                frame = picture.frame
                turns = self._turns.take(frame.camera_id, frame.captured_at, found, policy)
                seen[row] = ViewedVehicles(picture, found, policy, turns)
        if not any(each.rows for each in seen.values()):
            return result
        with self._timed("plate_read"):
            read = read_plates(self._plates, key, list(seen.values()), self._config.limits)
        for row, each in zip(seen, read, strict=True):
            result[row] = each
        return result

    def _findings(self, pictures: Sequence[Picture]) -> list[list[FaceFinding] | FrameRejected]:
        findings: list[list[FaceFinding] | FrameRejected] = [[] for _ in pictures]
        rows = [row for row, picture in enumerate(pictures) if self._plan(picture).reads_faces]
        if not rows:
            return findings
        with self._timed("face_find"):
            found = self._faces.find([pictures[row].content for row in rows])
        seen: dict[int, SeenFaces] = {}
        for row, faces in zip(rows, found, strict=True):
            try:
                plan = self._plan(pictures[row])
                seen[row] = seen_faces(pictures[row], faces, plan, self._config.limits)
            except FrameRejected as rejection:
                findings[row] = rejection
        for row, faces_of_one in self._looked_closer(pictures, seen).items():
            plan = self._plan(pictures[row])
            findings[row] = face_findings(faces_of_one, plan, self._config.quality)
        return findings

    def _looked_closer(
        self, pictures: Sequence[Picture], seen: Mapping[int, SeenFaces]
    ) -> dict[int, SeenFaces]:
        """Return the faces with the landmarks found in closer looks, all in one call."""
        looks = {
            (row, face): look
            for row, faces in seen.items()
            for face, look in faces.looks(self._plan(pictures[row]).min_face_px).items()
        }
        if not looks:
            return dict(seen)
        with self._timed("face_find"):
            found = self._faces.find([look.crop for look in looks.values()])
        better: defaultdict[int, dict[int, NDArray[np.float32]]] = defaultdict(dict)
        for ((row, face), look), faces_in_crop in zip(looks.items(), found, strict=True):
            if (points := landmarks_in(look, faces_in_crop)) is not None:
                better[row][face] = points
        return {row: faces.corrected(better.get(row, {})) for row, faces in seen.items()}

    def _embedded(
        self, findings: Sequence[list[FaceFinding] | FrameRejected]
    ) -> list[tuple[FaceBox, ...] | FrameRejected]:
        """Embed the usable faces of all pictures in one call; return them in order."""
        faces = [face for of_one in findings if isinstance(of_one, list) for face in of_one]
        aligned = [face.aligned for face in faces if face.aligned is not None]
        vectors: Iterator[tuple[Embedding, float]] = iter(())
        if aligned:
            with self._timed("face_embed"):
                embedded = self._faces.embed(aligned)
            vectors = zip(embedded.unit, embedded.norm.tolist(), strict=True)
        return [
            of_one
            if isinstance(of_one, FrameRejected)
            else tuple(
                face.to_event(None, None) if face.aligned is None else _told(face, *next(vectors))
                for face in of_one
            )
            for of_one in findings
        ]

    def _event(
        self,
        picture: Picture,
        objects: tuple[ObjectBox, ...] | FrameRejected,
        faces: tuple[FaceBox, ...] | FrameRejected,
    ) -> AnalyzedFrame:
        if isinstance(objects, FrameRejected):
            return objects
        if isinstance(faces, FrameRejected):
            return faces
        frame, site_id = picture.frame, self._config.site_id
        identity = (site_id, frame.camera_id, frame.captured_at, frame.seq)
        detector = self._config.detectors.get(self._plan(picture).detector)
        return DetectionEvent(
            event_id=EventId(derive_id("det", *identity)),
            site_id=site_id,
            camera_id=frame.camera_id,
            captured_at=frame.captured_at,
            frame_seq=frame.seq,
            frame_width=frame.width,
            frame_height=frame.height,
            objects=objects,
            faces=faces,
            models={**({"detect": detector} if detector else {}), **self._config.models},
            session=frame.session or msgspec.UNSET,
        )


def _tiles(picture: Picture, plan: CameraPlan) -> list[Tile]:
    height, width = picture.content.shape[:2]
    return tiles(width, height, plan.tiles)


def _detect_in(
    detector: Detector, pictures: Sequence[Picture], parts: Sequence[Sequence[Tile]]
) -> list[Detections]:
    """Return what is in the tiles of all pictures, in order, in calls of bounded size."""
    images = [
        tile.of(picture.content)
        for picture, of_one in zip(pictures, parts, strict=True)
        for tile in of_one
    ]
    calls = range(0, len(images), _MOST_AT_ONCE)
    return [
        found for start in calls for found in detector.detect(images[start : start + _MOST_AT_ONCE])
    ]


def _told(face: FaceFinding, embedding: Embedding, norm: float) -> FaceBox:
    """Return a face with its embedding; without one if the network yielded no usable vector.

    Failing on it would end every worker that takes the frame, one after the other.
    """
    if norm > 0:
        return face.to_event(embedding, norm)
    return replace(face, unusable="no_embedding").to_event(None, None)
