"""Calibration files: what a face embedder's scores mean, as measured on labelled pictures.

``trinetra models calibrate`` writes one for a model into the data folder; resolvers take their
default threshold from there instead of the manifest.
"""

from pathlib import Path
from typing import Literal

import msgspec

from trinetra.errors import ConfigurationError
from trinetra.models.manifest import FaceEmbedderModel
from trinetra.values import Instant

_FOLDER = "calibration"


class MeasuredRate(msgspec.Struct, frozen=True):
    """A share of pairs with the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    pairs: int


class Threshold(msgspec.Struct, frozen=True):
    """A similarity, why it was looked at, and the two rates of error there."""

    similarity: float
    target: float | None
    false_matches: MeasuredRate
    false_non_matches: MeasuredRate


class SizeRow(msgspec.Struct, frozen=True):
    """The rates of error when faces of so many pixels are compared to the pictures as they are."""

    size_px: int
    false_matches: MeasuredRate
    false_non_matches: MeasuredRate


class ReferenceStatistics(msgspec.Struct, frozen=True):
    """Borders of ten equal shares of what was measured, for whoever watches for drift."""

    score: tuple[float, ...]
    quality: tuple[float, ...]
    norm: tuple[float, ...]


class CalibrationFile(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a model; similarities are on the scale that its manifest defines.

    ``sha256`` is the digest of the network's file, ``declared`` what its manifest allowed.
    With ``own_cameras`` the pictures are of the shop's cameras: ``reference`` is what these show.
    ``curve`` has rows of similarity, false match rate and false non-match rate. ``similarity`` is
    the threshold that resolvers take.
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


def calibration_path(data_dir: Path, model: FaceEmbedderModel) -> Path:
    """Return where the calibration of a model lies."""
    return data_dir / _FOLDER / f"{model.version}.json"


def write_calibration(path: Path, calibration: CalibrationFile) -> None:
    """Put a calibration where resolvers look for it; raises ConfigurationError."""
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
        partial.replace(path)
    except OSError as cause:
        reason = (cause.strerror or "unwritable").lower()
        raise ConfigurationError(f"{path} cannot be written: {reason}") from cause


def read_calibration(path: Path, model: FaceEmbedderModel) -> CalibrationFile | None:
    """Return the calibration of a model, or None where there is none.

    Raises ConfigurationError for a file that cannot be read or is about another network.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as cause:
        reason = (cause.strerror or "unreadable").lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from cause
    try:
        found = msgspec.json.decode(content, type=CalibrationFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise ConfigurationError(f"{path} is no calibration: {cause}; {_AGAIN}") from cause
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
    return msgspec.structs.replace(model, calibration=calibration)


_AGAIN = "delete it, or run trinetra models calibrate again"
