"""Calibration files: error rates of a face embedder's scores, measured on labeled pictures.

``trinetra models calibrate`` writes one for a model into the data folder; resolvers take their
default threshold from it instead of from the manifest.
"""

from pathlib import Path
from typing import Literal

import msgspec

from trinetra.errors import ConfigurationError
from trinetra.models.manifest import FaceEmbedderModel, ImpostorStatistics
from trinetra.values import Instant

_FOLDER = "calibration"
LEAST_PEOPLE = 30
"""Fewer make fewer than 435 pairs: nothing of the tail would be seen."""


class MeasuredRate(msgspec.Struct, frozen=True):
    """A fraction of pairs, or of people, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    pairs: int


class Threshold(msgspec.Struct, frozen=True):
    """A similarity, the target it was chosen for, and the two error rates at it."""

    similarity: float
    target: float | None
    false_matches: MeasuredRate
    false_non_matches: MeasuredRate


class SizeRow(msgspec.Struct, frozen=True):
    """Error rates when faces of this size in pixels are compared with the full-size pictures."""

    size_px: int
    false_matches: MeasuredRate
    false_non_matches: MeasuredRate


class ReferenceStatistics(msgspec.Struct, frozen=True):
    """Bounds of ten equal shares of the measured values, as a reference for drift monitoring."""

    score: tuple[float, ...]
    quality: tuple[float, ...]
    norm: tuple[float, ...]


class IdentificationRow(msgspec.Struct, frozen=True):
    """Error rates of identification with ``people`` in the gallery, for faces of one size.

    ``similarity`` is the threshold derived for ``target``; ``fixed`` the false positives at the
    manifest's threshold instead. ``extrapolated`` if there were not so many people to measure.
    """

    people: int
    face_px: int
    target: float
    similarity: float
    false_positives: MeasuredRate
    misses: MeasuredRate
    fixed: MeasuredRate
    extrapolated: bool


class CalibrationFile(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of a model; similarities are on the scale that its manifest defines.

    ``sha256`` is the digest of the network's file, ``declared`` the digests that its manifest
    allowed. With ``own_cameras`` the pictures come from the shop's cameras, and ``reference``
    describes them. ``curve`` has rows of similarity, false match rate and false non-match rate.
    ``similarity`` is the threshold that resolvers take, as the least one where they derive it from
    ``impostors``. Few people cannot show how alike strangers are: then the manifest's are taken.
    """

    version: Literal[1] = 1
    model: str
    sha256: str
    declared: tuple[str, ...] = ()
    measured_at: Instant
    people: int
    pictures: int
    similarity: float
    thresholds: tuple[Threshold, ...]
    curve: tuple[tuple[float, float, float], ...]
    sizes: tuple[SizeRow, ...] = ()
    reference: ReferenceStatistics
    own_cameras: bool = False
    impostors: ImpostorStatistics | None = None
    identification: tuple["IdentificationRow", ...] = ()


def calibration_path(data_dir: Path, model: FaceEmbedderModel) -> Path:
    """Return the path of a model's calibration."""
    return data_dir / _FOLDER / f"{model.version}.json"


def write_calibration(path: Path, calibration: CalibrationFile) -> None:
    """Write a calibration to the path that resolvers read. Raises ConfigurationError."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
        partial.replace(path)
    except OSError as cause:
        reason = (cause.strerror or "unwritable").lower()
        raise ConfigurationError(
            f"{path} cannot be written: {reason}; free space or change its permissions"
        ) from cause


def read_calibration(path: Path, model: FaceEmbedderModel) -> CalibrationFile | None:
    """Return the calibration of a model, or None if there is none.

    Raises ConfigurationError for a file that cannot be read or is about another network.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as cause:
        reason = (cause.strerror or "unreadable").lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}; {_AGAIN}") from cause
    try:
        found = msgspec.json.decode(content, type=CalibrationFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise ConfigurationError(f"{path} is not a calibration file: {cause}; {_AGAIN}") from cause
    if found.model != model.version or found.declared != model.sha256:
        raise ConfigurationError(
            f"{path} was measured on {found.model} ({found.sha256[:12]}), not on the "
            f"{model.version} in use; {_AGAIN}"
        )
    return found


def calibrated(model: FaceEmbedderModel, data_dir: Path) -> FaceEmbedderModel:
    """Return the model with the threshold of its calibration file, if there is one.

    Raises ConfigurationError as ``read_calibration`` does.
    """
    found = read_calibration(calibration_path(data_dir, model), model)
    if found is None:
        return model
    calibration = msgspec.structs.replace(model.calibration, min_similarity=found.similarity)
    if found.impostors is not None and found.impostors.people >= LEAST_PEOPLE:
        calibration = msgspec.structs.replace(calibration, impostors=found.impostors)
    return msgspec.structs.replace(model, calibration=calibration)


_AGAIN = "delete it, or run trinetra models calibrate again"
