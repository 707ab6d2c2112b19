"""What was so, and what was found: the two things that scores compare.

Both are told in the same nouns, so that the truth can be scored against itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.faces import Shown

ONLY_CAMERA = ""
"""The camera of a truth that does not tell which camera it is about."""


class Crossing(NamedTuple):
    """Somebody went over a line."""

    camera: str
    line: str
    direction: str
    at_us: int


class Stay(NamedTuple):
    """Somebody was in a zone."""

    camera: str
    zone: str
    entered_us: int
    left_us: int

    @property
    def dwell_s(self) -> float:
        """How long the stay lasted."""
        return (self.left_us - self.entered_us) / 1e6


class Presence(NamedTuple):
    """Somebody's visit to the site; ``bought`` is None where nobody tells."""

    who: str
    started_us: int
    ended_us: int
    bought: bool | None = None


class Wait(NamedTuple):
    """A party's time in the queue of a till, until served or gone."""

    till: str
    joined_us: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What happened at the site; None where the file does not tell such things at all."""

    crossings: tuple[Crossing, ...] | None = None
    stays: tuple[Stay, ...] | None = None
    visits: tuple[Presence, ...] | None = None
    waits: tuple[Wait, ...] | None = None


Status = Literal["known", "new", "unknown"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a track was said to be in the end, all along or from ``since_us`` on.

    A track that goes over from one person to another has a decision about each. ``decided_us`` is
    when that was first said; ``was_searched`` tells whether a usable face was compared at all.
    """

    camera: str
    track: str
    status: Status
    customer: str | None
    decided_us: int
    was_searched: bool = True
    since_us: int | None = None

    @property
    def stretch(self) -> str:
        """The name of the part of the track that this is about."""
        return self.track if self.since_us is None else f"{self.track}@{self.since_us}"


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth: boxes named by person for each camera, and what happened.

    ``walks`` holds the same boxes named by one uninterrupted presence in one view, which is what a
    tracker can know; where it is None, ``boxes`` are named so. Where ``is_dated`` is false, times
    count from the beginning of the recording. ``frame_us`` is the time between two frames, None
    where every frame is dated exactly. With ``windows_us``, from and to, every frame in them is
    annotated, also those that the truth leaves out because nobody is in them. ``shown`` tells which
    faces the walks showed, each named after its camera as well; None where that is not known.
    """

    boxes: Mapping[str, Boxes]
    walks: Mapping[str, Boxes] | None = None
    facts: Facts = field(default_factory=Facts)
    is_dated: bool = True
    frame_us: int | None = None
    windows_us: tuple[tuple[int, int], ...] = ()
    shown: Mapping[str, Shown] | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the events tell: detections without names, tracks named by track, and decisions.

    ``faces`` are those good enough to be compared, without names.
    """

    detections: Mapping[str, Boxes]
    tracks: Mapping[str, Boxes]
    decisions: tuple[Decision, ...]
    facts: Facts
    faces: Mapping[str, Boxes] = field(default_factory=dict)
