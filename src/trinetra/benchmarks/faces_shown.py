"""Share of faces that live pictures still show although they are to be hidden.

Two measures. On any clip: of the faces that the face detector finds in the clear pictures, those
that it still finds in the shown ones. It cannot count faces that it never finds. On footage with
labeled people: of the heads of all labeled people, those that are not covered; the labels know
nothing of our networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trinetra.adapters.video.video_file import VideoFileSource
from trinetra.detections.frame_analyzer import FrameAnalyzer
from trinetra.errors import FrameRejected
from trinetra.events.codec import encode
from trinetra.events.schema import Box
from trinetra.frames.encode import Encoder, Picture
from trinetra.ports import FaceReader
from trinetra.site import site_from_text
from trinetra.values import EPOCH, Frame, ImageBgr, Instant, seconds_between
from trinetra.web.live.pictures import AROUND_S, regions_of
from trinetra.web.live.redaction import Regions, hide_people, open_content
from trinetra.web.live.view import SeenFrame, decode_boxes
from trinetra.wiring import assembly
from trinetra.wiring.config import ingest_plan
from trinetra.wiring.networks import Networks

_FPS = 5.0
"""Frames a second of a camera at the entrance while little happens."""
_SAME_IOU = 0.3
_HEAD_HEIGHT, _HEAD_WIDTH = 0.13, 0.5
"""Size of a standing person's head, relative to the box."""
_COVERED = 0.8
"""A head of which less is covered counts as shown."""
Labels = Mapping[int, Sequence[Box]]
"""Boxes of people by the number of the frame, from 0, in native pixels."""


class Shown(NamedTuple):
    """Faces and heads in clear pictures, and how many of them the shown ones still show.

    ``largest_shown_px`` is the height of the largest head that is shown, in pixels of the picture.
    """

    frames: int
    faces: int
    faces_shown: int
    heads: int
    heads_shown: int
    largest_shown_px: int = 0


@dataclass(frozen=True, slots=True)
class _Looked:
    number: int
    frame: Frame
    seen: SeenFrame


class _Head(NamedTuple):
    covered: float
    height_px: int


def measure(
    video: Path, networks: Networks, role: str = "entrance", labels: Labels | None = None
) -> Shown:
    """Return what a camera of a role that films this would show. Raises SourceUnavailable."""
    looked = list(_looks(video, networks, role))
    reader, faces, heads = networks.lanes[0].faces, np.zeros(2, int), list[_Head]()
    for one in looked:
        regions = regions_of([other.seen for other in looked if _is_near(one, other)])
        faces += _faces(reader, one.frame, regions)
        heads += _heads(one, regions, labels or {})
    shown = [head for head in heads if head.covered < _COVERED]
    largest = max((head.height_px for head in shown), default=0)
    return Shown(len(looked), int(faces[0]), int(faces[1]), len(heads), len(shown), largest)


def _is_near(one: _Looked, other: _Looked) -> bool:
    """Return whether the live view hides in one frame what was seen in the other."""
    return abs(seconds_between(one.seen.captured_at, other.seen.captured_at)) <= AROUND_S


def _looks(video: Path, networks: Networks, role: str) -> Iterator[_Looked]:
    site = site_from_text(
        "site: bench\ntimezone: UTC\ncameras: "
        f"[{{id: camera, role: {role}, source: {{file: clip.mp4}}}}]\n"
    )
    [camera] = site.cameras
    encoder = Encoder(camera.camera_id, ingest_plan(camera, in_step=True).encoding)
    lane = networks.lanes[0]
    analyzer = FrameAnalyzer(
        assembly.analyzer_config(site, networks), lane.detectors, lane.faces, bodies=None
    )
    for number, (at, picture) in _sampled(video):
        frame = encoder.encode(number, at, picture)
        [event] = analyzer.work([frame])
        if isinstance(event, FrameRejected):
            raise event
        yield _Looked(number, frame, decode_boxes(encode(event)))


def _sampled(video: Path) -> Iterator[tuple[int, tuple[Instant, Picture]]]:
    source = VideoFileSource(video, EPOCH)
    source.open()
    due_s, number = 0.0, 0
    try:
        while (picture := source.read(key_frames_only=False)) is not None:
            at_s = seconds_between(EPOCH, picture.captured_at)
            if at_s >= due_s:
                due_s += 1 / _FPS
                yield number, (picture.captured_at, picture)
            number += 1
    finally:
        source.close()


def _faces(reader: FaceReader, frame: Frame, regions: Regions) -> tuple[int, int]:
    clear = open_content(frame)
    shown = clear.copy()
    hide_people(shown, regions, frame.letterbox.scale)
    [before], [after] = reader.find([clear]), reader.find([shown])
    still = [
        box for box in before.xyxy if any(_iou(box, other) >= _SAME_IOU for other in after.xyxy)
    ]
    return len(before), len(still)


def _heads(one: _Looked, regions: Regions, labels: Labels) -> Iterator[_Head]:
    if not (boxes := labels.get(one.number, ())):
        return
    scale = one.frame.letterbox.scale
    hidden = _hidden(open_content(one.frame).shape, regions, scale)
    for box in boxes:
        part = _head(hidden, box, scale)
        if part.size:
            yield _Head(float(part.mean()), len(part))


def _hidden(shape: tuple[int, ...], regions: Regions, scale: float) -> np.ndarray:
    """Return which pixels are hidden: those of a noisy picture that change."""
    noise: ImageBgr = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    shown = noise.copy()
    hide_people(shown, regions, scale)
    changed: np.ndarray = (noise != shown).any(axis=2)
    return changed


def _head(hidden: np.ndarray, box: Box, scale: float) -> np.ndarray:
    x1, y1, x2, y2 = (side * scale for side in box)
    middle, half = (x1 + x2) / 2, (x2 - x1) * _HEAD_WIDTH / 2
    rows = slice(max(0, round(y1)), max(0, round(y1 + (y2 - y1) * _HEAD_HEIGHT)))
    return hidden[rows, max(0, round(middle - half)) : max(0, round(middle + half))]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = float(np.prod(np.clip(high - low, 0, None)))
    return both / (float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - both)


def mot_labels(path: Path) -> dict[int, list[Box]]:
    """Return the boxes of people in a MOTChallenge file, whose frames count from 1."""
    found: dict[int, list[Box]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        frame, _, left, top, width, height, *_ = (float(part) for part in line.split(","))
        box = left, top, left + width, top + height
        found.setdefault(int(frame) - 1, []).append(box)
    return found
