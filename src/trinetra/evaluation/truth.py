"""Ground truth and findings: the two sides that scores compare.

Both use the same types, so that the truth can be scored against itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.faces import Shown

ONLY_CAMERA = ""
"""Camera name of a ground truth that does not name its camera."""


class Crossing(NamedTuple):
    """A person or vehicle crossed a line."""

    camera: str
    line: str
    direction: str
    at_us: int


class Stay(NamedTuple):
    """A person was in a zone."""

    camera: str
    zone: str
    entered_us: int
    left_us: int

    @property
    def dwell_s(self) -> float:
        """Duration of the stay."""
        return (self.left_us - self.entered_us) / 1e6


class Presence(NamedTuple):
    """A person's visit to the site; ``bought`` is None if it is unknown."""

    who: str
    started_us: int
    ended_us: int
    bought: bool | None = None


class Wait(NamedTuple):
    """A party's time in the queue of a till, until it is served or gives up, and its service.

    ``wait_s`` is None if it is unknown. ``end`` is ``served``, ``abandoned`` or ``moved`` to
    another queue; ``changes`` counts the queues left before. ``left_us`` is None if it is not told
    when the party left.
    """

    till: str
    joined_us: int
    wait_s: float | None
    left_us: int | None = None
    end: str = "served"
    service_s: float | None = None
    changes: int = 0


class Inside(NamedTuple):
    """The number of customers in the shop during a span of time."""

    start_us: int
    end_us: int
    people: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Events at the site; None if the file does not contain that kind of event at all."""

    crossings: tuple[Crossing, ...] | None = None
    stays: tuple[Stay, ...] | None = None
    visits: tuple[Presence, ...] | None = None
    waits: tuple[Wait, ...] | None = None
    inside: tuple[Inside, ...] | None = None


Status = Literal["known", "new", "unknown"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The final identity of a track, for its whole length or from ``since_us`` on.

    A track that switches from one person to another has a decision about each. ``decided_us`` is
    when this result was first reported; ``was_searched`` is whether a usable face was compared at
    all, and ``linked`` whether the customer follows from the body instead.
    """

    camera: str
    track: str
    status: Status
    customer: str | None
    decided_us: int
    was_searched: bool = True
    since_us: int | None = None
    linked: bool = False

    @property
    def segment(self) -> str:
        """Name of the part of the track that this decision is about."""
        return self.track if self.since_us is None else f"{self.track}@{self.since_us}"


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth: boxes named by person for each camera, and events.

    ``walks`` holds the same boxes named by uninterrupted presence in one view, which is what a
    tracker can know; if it is None, ``boxes`` are already named so. If ``is_dated`` is false, times
    count from the start of the recording. ``frame_us`` is the time between two frames, None if
    every frame is dated exactly. In ``windows_us``, from and to, every frame is annotated,
    including empty ones that the truth leaves out. ``shown`` holds the faces that the walks showed,
    with names that include the camera; None if unknown. What is found at a box of ``excused`` is
    neither right nor wrong; only ``trinetra eval real`` heeds it.
    """

    boxes: Mapping[str, Boxes]
    walks: Mapping[str, Boxes] | None = None
    facts: Facts = field(default_factory=Facts)
    is_dated: bool = True
    frame_us: int | None = None
    windows_us: tuple[tuple[int, int], ...] = ()
    shown: Mapping[str, Shown] | None = None
    excused: Mapping[str, Boxes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Findings:
    """The content of the events: nameless detections, tracks named by track, and decisions.

    ``faces`` are those good enough to be compared, without names.
    """

    detections: Mapping[str, Boxes]
    tracks: Mapping[str, Boxes]
    decisions: tuple[Decision, ...]
    facts: Facts
    faces: Mapping[str, Boxes] = field(default_factory=dict)
