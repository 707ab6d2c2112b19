"""Reads MOTChallenge text: ``frame,id,left,top,width,height,considered[,class,...]``.

Frames count from 1. A row is not a label if its seventh value is 0 or, with nine values, if its
class is not 1 (a pedestrian on foot): what is found there is neither right nor wrong. A
``seqinfo.ini`` beside the file or above its folder gives the frame rate and the number of frames.
"""

import math
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass
from pathlib import Path

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import BoxesBuilder
from trinetra.evaluation.reading.lines import malformed, numbered_lines, unreadable
from trinetra.evaluation.truth import ONLY_CAMERA, Truth

_LEAST_COLUMNS = 6
_FLAG, _CLASS = 6, 7
_WITH_CLASS = 9
_PEDESTRIAN = 1.0


@dataclass(frozen=True, slots=True)
class _Row:
    frame: int
    name: str
    xyxy: tuple[float, float, float, float]
    counts: bool


def read_motchallenge(path: Path, *, fps: float | None = None) -> Truth:
    """Return the truth of one camera, with times from the start of the recording.

    ``fps`` overrides that of ``seqinfo.ini``. Raises ConfigurationError with file and line, or if
    the frame rate is unknown.
    """
    listed_fps, last_frame = sequence_info(path)
    frame_us = frame_interval_us(path, fps or listed_fps)
    boxes, excused = BoxesBuilder(), BoxesBuilder()
    for number, line in numbered_lines(path):
        row = _row(path, number, line.decode("utf-8", "replace"))
        last_frame = max(last_frame, row.frame)
        named = boxes if row.counts else excused
        named.add(frame_time_us(row.frame - 1, frame_us), row.name, row.xyxy)
    for frame in range(last_frame):
        boxes.frame(frame_time_us(frame, frame_us))
    return Truth(
        {ONLY_CAMERA: boxes.build()},
        is_dated=False,
        frame_us=round(frame_us),
        excused={ONLY_CAMERA: excused.build()},
    )


def frame_interval_us(path: Path, fps: float | None) -> float:
    """Return the microseconds between two frames. Raises ConfigurationError without a rate."""
    if fps is None:
        raise ConfigurationError(f"{path} does not contain its frame rate: give it with --fps")
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigurationError(
            f"{path}: {fps:g} frames per second is invalid; give a positive number with --fps"
        )
    return 1e6 / fps


def frame_time_us(index: int, frame_us: float) -> int:
    """Return the time of a frame from the start; frames count from 0."""
    return round(index * frame_us)


def _row(path: Path, number: int, line: str) -> _Row:
    cells = line.replace(",", " ").split()
    if len(cells) < _LEAST_COLUMNS:
        what = f"{len(cells)} values, expected frame, id, left, top, width, height, ..."
        raise malformed(path, number, what)
    try:
        values = [float(cell) for cell in cells]
    except ValueError as cause:
        raise malformed(path, number, f"not a row of numbers: {cause}") from cause
    frame, identity, left, top, width, height = values[:_LEAST_COLUMNS]
    if not all(map(math.isfinite, values)) or width < 0 or height < 0:
        raise malformed(
            path, number, "a box needs finite numbers, and its sides must not be negative"
        )
    if frame < 1 or frame % 1 or identity % 1:
        raise malformed(path, number, "frame numbers are 1, 2, 3, ... and ids are whole numbers")
    xyxy = (left, top, left + width, top + height)
    return _Row(int(frame), f"{int(identity)}", xyxy, _counts(values))


def _counts(values: list[float]) -> bool:
    if len(values) > _FLAG and values[_FLAG] == 0:
        return False
    return len(values) != _WITH_CLASS or values[_CLASS] == _PEDESTRIAN


def sequence_info(path: Path) -> tuple[float | None, int]:
    """Return frame rate and length from ``seqinfo.ini``, or None and 0 if there is none."""
    for folder in (path.parent, path.parent.parent):
        if (info := folder / "seqinfo.ini").is_file():
            return _parsed_info(info)
    return None, 0


def _parsed_info(info: Path) -> tuple[float | None, int]:
    parser = ConfigParser()
    try:
        parser.read_string(info.read_text(encoding="utf-8"), source=str(info))
        section = parser["Sequence"]
        return section.getfloat("frameRate"), section.getint("seqLength", 0)
    except OSError as cause:
        raise unreadable(info, cause) from cause
    except (IniError, KeyError, ValueError) as cause:
        raise ConfigurationError(f"{info} is not a valid sequence description: {cause}") from cause
