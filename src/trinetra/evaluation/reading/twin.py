"""Reads the ground truth of the digital twin: JSON lines, described in docs/twin.md.

Only scored fields are read. The reader has its own structs, because the file is the only interface
between the twin and the scores.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.faces import Shown, person_of
from trinetra.evaluation.reading.lines import malformed, numbered_lines
from trinetra.evaluation.truth import Crossing, Facts, Presence, Stay, Truth, Wait
from trinetra.values import microseconds

_LEAST_VISIBLE = 0.25
"""A body with a smaller visible fraction cannot be detected and is not counted as missed."""
_PRESENCE_GAP_US = 2_000_000
"""As in the twin: a shorter absence does not end a walk through a view."""
_PERSON = "person"


class _Line(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of every line."""


class _Camera(msgspec.Struct, frozen=True):
    camera_id: str
    role: str


class _Run(_Line, frozen=True, tag="run"):
    windows: tuple[tuple[datetime, datetime], ...]
    cameras: tuple[_Camera, ...]


class _Person(_Line, frozen=True, tag="person"):
    person_id: str
    kind: str


class _Visit(_Line, frozen=True, tag="visit"):
    person_id: str
    arrived_at: datetime
    left_at: datetime
    outcome: str


class _Crossing(_Line, frozen=True, tag="crossing"):
    camera_id: str
    line_id: str
    direction: Literal["in", "out"]
    at: datetime
    label: str


class _Stay(_Line, frozen=True, tag="stay"):
    camera_id: str
    zone_id: str
    entered_at: datetime
    left_at: datetime


class _Queue(_Line, frozen=True, tag="queue"):
    joined_at: datetime
    end: str
    wait_s: float
    left_at: datetime | None = None
    till_id: str = ""
    service_s: float | None = None
    changes: int = 0


class _Frame(_Line, frozen=True, tag="frame"):
    camera_id: str
    captured_at: datetime
    persons: tuple[tuple[str, float, float, float, float, float], ...] = ()
    vehicles: tuple[tuple[str, float, float, float, float, float], ...] = ()
    faces: tuple[tuple[str, float], ...] = ()


class _Path(_Line, frozen=True, tag="path"):
    """Path of a visit; not scored."""


class _Track(_Line, frozen=True, tag="track"):
    """A presence in a view; the frames contain the same information."""


class _Purchase(_Line, frozen=True, tag="purchase"):
    """The party of a receipt; the visits' outcomes tell who bought."""


class _Vehicle(_Line, frozen=True, tag="vehicle"):
    """Path of a car; the frames contain the same information."""


_AnyLine = (
    _Run
    | _Person
    | _Visit
    | _Crossing
    | _Stay
    | _Queue
    | _Frame
    | _Path
    | _Track
    | _Purchase
    | _Vehicle
)


def read_twin(path: Path, *, label: str | None = _PERSON) -> Truth:
    """Return the twin's truth about people, about anything else (vehicles), or, None, about both.

    Staff are in the boxes, but they do not visit. Raises ConfigurationError with file and line.
    """
    decoder = msgspec.json.Decoder(_AnyLine)
    gathered = _Gathered(label)
    for number, line in numbered_lines(path):
        try:
            gathered.add(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, _Naive) as cause:
            raise malformed(
                path, number, f"not a valid line of the twin's ground truth: {cause}"
            ) from cause
    if not gathered.windows_us:
        raise ConfigurationError(
            f"{path}: no line of type run, so this is not a ground truth of the twin"
        )
    return gathered.truth()


class _Naive(ValueError):
    """An instant has no UTC offset."""


@dataclass(slots=True)
class _Gathered:
    """Collects the lines read so far."""

    label: str | None
    windows_us: list[tuple[int, int]] = field(default_factory=list)
    _boxes: dict[str, BoxesBuilder] = field(default_factory=lambda: defaultdict(BoxesBuilder))
    _faces: list[tuple[str, int, str, float]] = field(default_factory=list)
    _staff: set[str] = field(default_factory=set)
    _visits: list[Presence] = field(default_factory=list)
    _crossings: list[Crossing] = field(default_factory=list)
    _stays: list[Stay] = field(default_factory=list)
    _waits: list[Wait] = field(default_factory=list)

    def add(self, line: _AnyLine) -> None:
        """Add one line."""
        match line:
            case _Frame():
                self._add_frame(line)
            case _Run():
                self.windows_us += [(_micros(a), _micros(b)) for a, b in line.windows]
                for camera in line.cameras:
                    _ = self._boxes[camera.camera_id]
            case _Person(kind="staff"):
                self._staff.add(line.person_id)
            case _Visit():
                span = _micros(line.arrived_at), _micros(line.left_at)
                visit = Presence(line.person_id, *span, bought=line.outcome == "bought")
                self._visits.append(visit)
            case _:
                self._add_happening(line)

    def truth(self) -> Truth:
        """Return the collected ground truth."""
        # A person who is occluded for a while is still present, so presences are separated before
        # boxes are filtered by visibility.
        boxes = {camera: builder.build() for camera, builder in sorted(self._boxes.items())}
        walks = {camera: b.by_presence(_PRESENCE_GAP_US) for camera, b in boxes.items()}
        return Truth(
            boxes={camera: _visible(b) for camera, b in boxes.items()},
            walks={camera: _visible(b) for camera, b in walks.items()},
            facts=Facts(
                crossings=tuple(self._crossings),
                stays=tuple(self._stays),
                visits=tuple(v for v in self._visits if v.who not in self._staff),
                waits=tuple(self._waits),
            ),
            windows_us=tuple(self.windows_us),
            shown=self._shown(walks),
        )

    def _shown(self, walks: Mapping[str, Boxes]) -> dict[str, Shown] | None:
        """Return the faces of each walk, or None for a ground truth without faces."""
        if not self._faces:
            return None
        walk_of = {
            (camera, at_us, person_of(boxes.names[code])): f"{camera}/{boxes.names[code]}"
            for camera, boxes in walks.items()
            for at_us, code in zip(boxes.at_us.tolist(), boxes.name.tolist(), strict=True)
        }
        sizes: dict[str, list[float]] = defaultdict(list)
        for camera, at_us, who, size_px in self._faces:
            sizes[walk_of[camera, at_us, who]].append(size_px)
        return {walk: Shown(len(of_walk), max(of_walk)) for walk, of_walk in sizes.items()}

    def _add_frame(self, frame: _Frame) -> None:
        at_us, boxes = _micros(frame.captured_at), self._boxes[frame.camera_id]
        boxes.frame(at_us)
        if self.label in {None, _PERSON}:
            for who, *box, visible in frame.persons:
                boxes.add(at_us, who, (box[0], box[1], box[2], box[3]), visible)
            self._faces += [(frame.camera_id, at_us, who, size) for who, size in frame.faces]
        if self.label != _PERSON:
            for what, *box, visible in frame.vehicles:
                boxes.add(at_us, what, (box[0], box[1], box[2], box[3]), visible)

    def _add_happening(self, line: _AnyLine) -> None:
        match line:
            case _Crossing() if self.label in {None, line.label}:
                self._crossings.append(
                    Crossing(line.camera_id, line.line_id, line.direction, _micros(line.at))
                )
            case _Stay() if self.label in {None, _PERSON}:
                span = _micros(line.entered_at), _micros(line.left_at)
                self._stays.append(Stay(line.camera_id, line.zone_id, *span))
            case _Queue() if line.end != "balked":
                self._waits.append(_wait(line))
            case _:
                pass


def _wait(line: _Queue) -> Wait:
    return Wait(
        till=line.till_id,
        joined_us=_micros(line.joined_at),
        wait_s=line.wait_s,
        left_us=None if line.left_at is None else _micros(line.left_at),
        end="served" if line.end == "served" else "abandoned",
        service_s=line.service_s,
        changes=line.changes,
    )


def _visible(boxes: Boxes) -> Boxes:
    """Return the boxes that are visible enough; the score was their visible fraction."""
    seen = boxes.where(boxes.score >= _LEAST_VISIBLE)
    return Boxes(seen.at_us, seen.name, seen.xyxy, np.ones(len(seen)), seen.names, seen.frames_us)


def _micros(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise _Naive(f"{instant.isoformat()} has no UTC offset")
    return microseconds(instant)
