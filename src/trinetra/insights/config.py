"""Configuration of the insight engine: zones and lines of each camera, and the counting rules.

Coordinates are normalized: x and y lie in 0..1, the origin is the image's top left corner and y
grows DOWNWARD. Lengths are fractions of the frame's height or of a person's box height, so that a
rule holds at every resolution and distance from the camera.
"""

from dataclasses import dataclass
from typing import Literal

from trinetra.events.schema import Point
from trinetra.geometry import Homography
from trinetra.insights.camera.geometry import is_simple, polygon_area

PERSON = "person"
"""The label of the objects that count toward occupancy and visits."""

_MIN_CORNERS = 3
_MIN_AREA = 1e-9


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon on the floor in which stays are measured.

    ``polygon`` has at least three corners, does not cross itself and is closed implicitly. A stay
    shorter than ``min_dwell_s`` is not reported. Raises ValueError for an unusable polygon.
    """

    zone_id: str
    polygon: tuple[Point, ...]
    min_dwell_s: float = 0.0

    def __post_init__(self) -> None:
        if len(self.polygon) < _MIN_CORNERS:
            raise ValueError(f"zone {self.zone_id}: a polygon needs at least three corners")
        if not is_simple(self.polygon) or polygon_area(self.polygon) < _MIN_AREA:
            raise ValueError(f"zone {self.zone_id}: the polygon crosses itself or has no area")


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line from ``a`` to ``b``.

    Standing on ``a`` and looking toward ``b`` on the image as displayed, ``in`` is a walk from left
    to right. For a = (0, 0.5), b = (1, 0.5), that is downward in the image. Raises ValueError if
    both ends are the same point.
    """

    line_id: str
    a: Point
    b: Point

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise ValueError(f"line {self.line_id}: both ends are the same point")


@dataclass(frozen=True, slots=True)
class StayLimit:
    """From how long on a stay of a person in a zone raises an alert, while it lasts."""

    zone_id: str
    rule: Literal["long_stay", "long_wait"]
    after_s: float


@dataclass(frozen=True, slots=True)
class CameraInsights:
    """The zones and lines of one camera, and its view of the floor, if it is calibrated."""

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    stay_limits: tuple[StayLimit, ...] = ()
    floor: Homography | None = None


@dataclass(frozen=True, slots=True)
class InsightPolicy:
    """The counting rules; all times are captured time.

    leave_after_s: a stay ends when the foot has been seen outside for this long.
    bridge_s, bridge_boxes: a track that vanished is continued by a new one of the same label that
        appears within this time and this distance (in box heights).
    dead_band_boxes, dead_band_min: half the width of the band around a line in which a foot is on
        neither side, in box heights, and its minimum as a fraction of the frame's height.
    confirm_s: a body that is seen on the other side of a line, or of a zone's edge, is there once
        it was seen there at least twice and for this long, without being seen back in between. One
        look is not enough, because a single box may be wrong.
    occupancy_every_s: minimum time between two occupancy reports of one zone.
    occupancy_hold_s: an unseen person still counts as present for this long.
    visit_gap_s: an absence longer than this starts the next visit.
    visit_resend_s: minimum growth after which an ongoing visit is reported again.
    forget_after_s: how long an unseen track can still be identified.
    max_remembered: reported crossings and stays per person that can still be identified.
    coverage_gap_s: between two frames that are further apart than this, the view counts as unseen.

    Raises ValueError if tracks would be dropped while they may still be continued.
    """

    leave_after_s: float = 1.5
    bridge_s: float = 3.0
    bridge_boxes: float = 1.0
    dead_band_boxes: float = 0.06
    dead_band_min: float = 0.008
    confirm_s: float = 0.5
    occupancy_every_s: float = 1.0
    occupancy_hold_s: float = 1.0
    visit_gap_s: float = 1800.0
    visit_resend_s: float = 10.0
    forget_after_s: float = 60.0
    max_remembered: int = 16
    coverage_gap_s: float = 5.0

    @property
    def sighting_every_s(self) -> float:
        """Growth of a segment in view after which it is reported again.

        At most a quarter of the gap, so that an ongoing visit never looks like one that has ended.
        """
        return min(self.visit_resend_s / 2, self.visit_gap_s / 4)

    @property
    def absent_after_s(self) -> float:
        """Time without a sighting after which a segment in view has ended."""
        return min(self.bridge_s, self.visit_gap_s / 4)

    def __post_init__(self) -> None:
        if self.forget_after_s < max(self.leave_after_s, self.bridge_s):
            raise ValueError("forget_after_s must not be below leave_after_s and bridge_s")
