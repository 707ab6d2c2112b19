"""Loads detector and face reader of a model profile on the inference engine of this machine."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from trinetra.adapters.inference import onnxruntime, openvino
from trinetra.detections.bodies import BodyEmbedderSpec, NetworkBodyEmbedder
from trinetra.detections.detector import DetectorSpec, NetworkDetector
from trinetra.detections.faces import (
    FaceEmbedderSpec,
    FaceFinderSpec,
    NetworkFaceEmbedder,
    NetworkFaceReader,
)
from trinetra.detections.plates import NetworkPlateReader, PlateFinderSpec, PlateReaderSpec
from trinetra.detections.service import InferenceThread
from trinetra.detections.vision.letterbox import InputSpec
from trinetra.detections.vision.plates import TextRegions
from trinetra.models.manifest import AnyModel, DetectorModel, FaceEmbedderModel, Profile
from trinetra.models.manifest import InputSpec as DeclaredInput
from trinetra.ports import Engine
from trinetra.settings import Settings
from trinetra.site import Site

_Load = Callable[[AnyModel], Engine]
_COUNTED = frozenset({"person", "bicycle", "car", "motorcycle", "bus", "truck"})
_MAX_LANES = 4
_WEAK_SHARE = 0.6
"""Detections down to this fraction of the threshold go into events: they keep tracks alive."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The loaded networks of one profile, one set for each lane of the worker."""

    profile: Profile
    detectors: tuple[DetectorModel, ...]
    lanes: tuple[InferenceThread, ...]

    @property
    def versions(self) -> dict[str, str]:
        """The version of the network behind each task that one network does for all cameras."""
        profile = self.profile
        shared = (
            *(profile.face_finder, profile.face_embedder, profile.body_embedder),
            *(profile.plate_finder, profile.plate_reader),
        )
        return {model.task: model.version for model in shared if model is not None}

    @property
    def detector_versions(self) -> dict[str, str]:
        """The versions of the detectors by their names."""
        return {model.name: model.version for model in self.detectors}


def load_networks(
    profile: Profile,
    files: Mapping[str, Path],
    settings: Settings,
    site: Site | None = None,
    *,
    wrap: Callable[[str, Engine], Engine] = lambda _, engine: engine,
) -> Networks:
    """Return the networks, ready to run. Raises EngineFailure.

    Optional networks of the profile that have no file are left out, and so are detectors for which
    the site has no camera; without a site all are loaded. ``wrap`` is called with the task and the
    engine of each network and returns the engine to use; benchmarks measure with it.
    """
    # The networks have threads of their own; those of OpenCV would compete for the same cores.
    cv2.setNumThreads(1)
    lanes, threads = _share_cores(settings)
    ours = profile.having(files)
    if site is not None and not any(camera.reads_plates for camera in site.cameras):
        ours = ours.without_plates()
    detectors = _detectors(ours, site)

    def load(model: AnyModel) -> Engine:
        return wrap(model.task, load_engine(model, files[model.name], settings, threads))

    return Networks(ours, detectors, tuple(_lane(ours, detectors, load) for _ in range(lanes)))


def _detectors(profile: Profile, site: Site | None) -> tuple[DetectorModel, ...]:
    """Return the distinct detectors that the site's cameras need."""
    if site is None:
        wanted = [profile.detector, *profile.role_detectors.values()]
    else:
        wanted = [profile.detector_for(camera.role, camera.labels) for camera in site.cameras]
    return tuple({model.name: model for model in wanted}.values())


def _share_cores(settings: Settings) -> tuple[int, int]:
    """Return how many lanes infer at once and how many threads each of their networks has.

    Few lanes of several threads have less latency, many lanes of one thread more throughput: on
    two cores beside a busy camera, two lanes did 15 % more frames than one lane of two threads.
    """
    cores = len(os.sched_getaffinity(0))
    lanes = settings.inference_lanes or min(cores, _MAX_LANES)
    return lanes, settings.threads or max(1, cores // lanes)


def _lane(profile: Profile, detectors: Sequence[DetectorModel], load: _Load) -> InferenceThread:
    found = {model.name: NetworkDetector(load(model), _detector_spec(model)) for model in detectors}
    return InferenceThread(
        found,
        _face_reader(profile, load),
        _body_embedder(profile, load),
        _plate_reader(profile, load),
    )


def load_face_reader(
    profile: Profile, files: Mapping[str, Path], settings: Settings
) -> NetworkFaceReader:
    """Return the face reader for photos, which come from no camera. Raises EngineFailure."""
    threads = settings.threads or len(os.sched_getaffinity(0))
    return _face_reader(
        profile, lambda model: load_engine(model, files[model.name], settings, threads)
    )


def _face_reader(profile: Profile, load: _Load) -> NetworkFaceReader:
    finder, embedder, beside = profile.face_finder, profile.face_embedder, profile.face_beside
    own = embedder.dimension - (beside.dimension if beside else 0)
    return NetworkFaceReader(
        load(finder),
        FaceFinderSpec(_input(finder.input), finder.score_threshold, finder.nms_iou),
        _face_embedder(embedder, own, load),
        *([_face_embedder(beside, beside.dimension, load)] if beside else []),
    )


def _face_embedder(model: FaceEmbedderModel, dimension: int, load: _Load) -> NetworkFaceEmbedder:
    spec = FaceEmbedderSpec(_input(model.input), dimension, model.template)
    return NetworkFaceEmbedder(load(model), spec)


def _body_embedder(profile: Profile, load: _Load) -> NetworkBodyEmbedder | None:
    model = profile.body_embedder
    if model is None:
        return None
    return NetworkBodyEmbedder(load(model), BodyEmbedderSpec(_input(model.input), model.dimension))


def _plate_reader(profile: Profile, load: _Load) -> NetworkPlateReader | None:
    """Return the reader of plates; None unless the files of both its networks are there."""
    finder, reader = profile.plate_finder, profile.plate_reader
    if finder is None or reader is None:
        return None
    regions = TextRegions(finder.score_threshold, finder.box_threshold, finder.unclip_ratio)
    return NetworkPlateReader(
        load(finder),
        PlateFinderSpec(_input(finder.input), regions),
        load(reader),
        PlateReaderSpec(_input(reader.input), reader.alphabet),
    )


def _detector_spec(model: DetectorModel) -> DetectorSpec:
    return DetectorSpec(
        decoder=model.decoder,
        input=_input(model.input),
        class_names=model.class_names,
        keep=_COUNTED & set(model.class_names),
        threshold=model.score_threshold,
        min_score=model.score_threshold * _WEAK_SHARE,
        nms_iou=model.nms_iou,
        normalized_boxes=model.box_unit == "input_side",
    )


def load_engine(model: AnyModel, path: Path, settings: Settings, threads: int) -> Engine:
    """Return a network on the chosen engine; ``auto`` takes OpenVINO. Raises EngineFailure."""
    outputs = model.output_names or None
    if settings.backend == "onnxruntime":
        return onnxruntime.load(path, threads=threads, outputs=outputs)
    cache_dir = settings.cache_dir / "compiled"
    return openvino.load(path, threads=threads, outputs=outputs, cache_dir=cache_dir)


def _input(declared: DeclaredInput) -> InputSpec:
    return InputSpec(
        width=declared.width,
        height=declared.height,
        layout=declared.layout,
        color=declared.color,
        mean=declared.mean,
        std=declared.std,
        pad=float(declared.pad_value),
        stretches=declared.fit == "stretch",
    )
