"""What the events of a clip show of its conditions: sizes, scores, speeds, and ends of tracks."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Boxes, BoxesBuilder, Floats
from trinetra.events.schema import AnyEvent, DetectionEvent, TracksEvent
from trinetra.values import microseconds

_PERSON = "person"
_BORDER = 0.01
"""A box is cut off by the border of the picture if it is this close, as a share of its side."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Conditions of the clip of one camera.

    ``people`` are all detections of people, also those below ``birth_score``, which start no track;
    ``tracks`` as published, named by track. ``face_px (n,)`` are the shorter sides of all faces;
    ``unusable`` counts the reasons why faces were not compared.
    """

    width: int
    height: int
    people: Boxes
    tracks: Boxes
    face_px: Floats
    unusable: Counter[str]
    birth_score: float

    @property
    def fps(self) -> float:
        """Median frame rate of the processed frames; 0 for fewer than two."""
        steps_us = np.diff(self.people.frames_us)
        return 1e6 / float(np.median(steps_us)) if len(steps_us) else 0.0

    def cut_off(self, xyxy: Floats, *, below_only: bool = False) -> NDArray[np.bool_]:
        """Return which boxes reach the border of the picture, or only its lower border."""
        low = xyxy[:, 3] >= (1 - _BORDER) * self.height
        if below_only:
            return np.asarray(low)
        left, right = xyxy[:, 0] <= _BORDER * self.width, xyxy[:, 2] >= (1 - _BORDER) * self.width
        return np.asarray(low | left | right | (xyxy[:, 1] <= _BORDER * self.height))


@dataclass(slots=True)
class EvidenceGathering:
    """Collects the evidence of one camera from events, in any order."""

    camera: str
    birth_score: float
    _size: tuple[int, int] = (1, 1)
    _people: BoxesBuilder = field(default_factory=BoxesBuilder)
    _tracks: BoxesBuilder = field(default_factory=BoxesBuilder)
    _face_px: list[float] = field(default_factory=list)
    _unusable: Counter[str] = field(default_factory=Counter)

    def add(self, event: AnyEvent) -> None:
        """Add one event; those of other cameras and kinds are ignored."""
        if event.camera_id != self.camera:
            return
        at_us = microseconds(event.captured_at)
        if isinstance(event, DetectionEvent):
            self._size = (event.frame_width, event.frame_height)
            self._people.frame(at_us)
            for found in event.objects:
                if found.label == _PERSON:
                    self._people.add(at_us, None, found.box, found.score)
            self._face_px += [face.quality.size_px for face in event.faces]
            self._unusable.update(face.unusable for face in event.faces if face.unusable)
        elif isinstance(event, TracksEvent):
            self._tracks.frame(at_us)
            for track in event.tracks:
                if track.label == _PERSON:
                    self._tracks.add(at_us, track.track_id, track.box)

    def evidence(self) -> Evidence:
        """Return the evidence of what was added."""
        return Evidence(
            *self._size,
            people=self._people.build(),
            tracks=self._tracks.build(),
            face_px=np.array(self._face_px, np.float64),
            unusable=self._unusable,
            birth_score=self.birth_score,
        )
