"""Names the likely causes of wrong counts in a clip, each measured from its events.

A cause is named only if a count that it can spoil is wrong and its measurement exceeds a limit. The
limits are judgments, not fits: there are too few recordings with counts (docs/accuracy.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import scipy
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Boxes, Floats, iou
from trinetra.evaluation.evidence import Evidence

Kind = str
PEOPLE, RECOGNIZED, CROSSINGS, STAYS = "people", "recognized", "crossings", "stays"
_COUNTED = frozenset({PEOPLE, CROSSINGS, STAYS})
Point = tuple[float, float]

_PERSON_M = 1.7
_LEAST_BOXES = 20
_MOST_BOXES = 300
_LEAST_TRACKS = 2
_LEAST_NEAR = 5
_UNCERTAIN = 1.5
_SMALL = 0.15
_MOST_TILES = 4
_MISSED = 0.2
_FAR_APART = 0.2
_FAST = 0.1
_BROKEN = 0.3
_LOW_CAMERA_M = 2.0
_CROWDED = 0.2
_OVERLAPPED = 0.3
_CUT_OFF = 0.2
_UNUSABLE = 0.5
_STILL_S = 5.0
_STILL = 0.03
_AT_LINE = 0.25
_EDGE_S = 1.0


@dataclass(frozen=True, slots=True)
class CountedPlace:
    """A line (two points) or a zone (a polygon), in normalized coordinates."""

    id: str
    points: tuple[Point, ...]

    @property
    def is_line(self) -> bool:
        """Whether it is a line."""
        return len(self.points) == 2  # noqa: PLR2004  its ends


@dataclass(frozen=True, slots=True)
class Cause:
    """A condition of the clip that makes counts wrong: what was measured, and what to do."""

    name: str
    value: float
    limit: float
    measured: str
    advice: str
    of: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the cause as plain values."""
        document: dict[str, object] = {
            "name": self.name,
            "value": round(self.value, 4),
            "limit": self.limit,
            "measured": self.measured,
            "advice": self.advice,
        }
        return document | ({"of": self.of} if self.of else {})


@dataclass(frozen=True, slots=True)
class _Tracks:
    """Published positions in the order of track and time; ``same (n - 1,)``: of one track."""

    at_us: NDArray[np.int64]
    name: NDArray[np.int64]
    xyxy: Floats
    same: NDArray[np.bool_]

    @classmethod
    def of(cls, tracks: Boxes) -> "_Tracks":
        order = np.lexsort((tracks.at_us, tracks.name))
        name = tracks.name[order]
        return cls(tracks.at_us[order], name, tracks.xyxy[order], name[1:] == name[:-1])

    @property
    def is_first(self) -> NDArray[np.bool_]:
        """Which positions are the first of their track."""
        return np.concatenate([[True], ~self.same])[: len(self.name)]

    @property
    def is_last(self) -> NDArray[np.bool_]:
        """Which positions are the last of their track."""
        return (
            np.concatenate([~self.same, [True]])[-len(self.name) :]
            if len(self.name)
            else (np.zeros(0, np.bool_))
        )

    @property
    def height(self) -> Floats:
        """Heights of the boxes in pixels."""
        return self.xyxy[:, 3] - self.xyxy[:, 1]

    @property
    def feet(self) -> Floats:
        """Centers of the lower edges, ``(n, 2)``."""
        return np.stack([(self.xyxy[:, 0] + self.xyxy[:, 2]) / 2, self.xyxy[:, 3]], axis=1)


def likely_causes(
    evidence: Evidence,
    wrong: frozenset[Kind],
    places: Sequence[CountedPlace],
    min_face_px: float,
    tiles: int = 1,
) -> list[Cause]:
    """Return the causes of wrong counts of these kinds; ``places`` are those with a wrong count.

    ``tiles`` is how many the camera's picture is cut into along its longer side.
    """
    tracks = _Tracks.of(evidence.tracks)
    found: list[Cause | None] = []
    if RECOGNIZED in wrong:
        found.append(_faces(evidence, min_face_px))
    if wrong & _COUNTED:
        found += [
            _small_people(evidence, tiles),
            _missed_detections(evidence, tracks),
            _low_rate(evidence, tracks),
            _low_camera(evidence),
            _crowd(evidence, tracks),
            _broken_tracks(evidence, tracks),
        ]
    if PEOPLE in wrong:
        found.append(_still_figures(evidence, tracks))
    for place in places:
        found += [_ends_at_place(evidence, tracks, place), _hidden_feet(evidence, tracks, place)]
    return [cause for cause in found if cause is not None and cause.value > cause.limit]


def _faces(evidence: Evidence, min_face_px: float) -> Cause | None:
    sizes, n = evidence.face_px, len(evidence.face_px)
    if not n:
        return Cause(
            "no_faces",
            1.0,
            _UNUSABLE,
            "no face was found in the clip",
            "turn the camera to where people look at it, at most 20 degrees above their heads",
        )
    small = float(np.mean(sizes < min_face_px))
    if small > _UNUSABLE:
        return Cause(
            "faces_too_small",
            small,
            _UNUSABLE,
            f"{small:.0%} of {n} faces are smaller than {min_face_px:g} px "
            f"(median {np.median(sizes):.0f} px)",
            f"move the camera nearer or zoom in {min_face_px / np.median(sizes):.1f} times, or "
            "raise native_max_side if the camera sends larger pictures",
        )
    reason, count = max(evidence.unusable.items(), key=lambda item: item[1], default=("", 0))
    return Cause(
        "faces_unusable",
        count / n,
        _UNUSABLE,
        f"{count / n:.0%} of {n} faces were not compared: {reason}",
        "improve the light at the camera, or turn it to where people look at it",
    )


def _small_people(evidence: Evidence, tiles: int) -> Cause | None:
    strong = evidence.people.score >= evidence.birth_score
    if strong.sum() < _LEAST_BOXES:
        return None
    side = max(evidence.width, evidence.height)
    boxes = evidence.people.xyxy[strong]
    share = float(np.median(boxes[:, 3] - boxes[:, 1])) / side
    seen = share * tiles
    where = "its tiles" if tiles > 1 else "the picture"
    return Cause(
        "people_too_small",
        -seen,
        -_SMALL,
        f"people are {seen:.0%} of the longer side of {where} tall (median); below {_SMALL:.0%} "
        "the detector misses more of them, in a poor picture most",
        _against_small_people(share, tiles),
    )


def _against_small_people(share: float, tiles: int) -> str:
    zoom = f"zoom in {_SMALL / share:.1f} times or more, or crop the picture to where people walk"
    wanted = min(_MOST_TILES, ceil(_SMALL / share))
    return zoom if wanted <= tiles else f"{zoom}; if neither can be done, set tiles to {wanted}"


def _missed_detections(evidence: Evidence, tracks: _Tracks) -> Cause | None:
    """Measure how often people are not seen between the first and the last frame of their track.

    The share of weak detections would depend on the score from which the worker reports any.
    """
    rows = np.searchsorted(evidence.tracks.frames_us, tracks.at_us)
    frames = int((rows[tracks.is_last] - rows[tracks.is_first] + 1).sum())
    if frames < _LEAST_BOXES:
        return None
    missed = 1 - len(rows) / frames
    return Cause(
        "detections_missed",
        missed,
        _MISSED,
        f"people are not detected in {missed:.0%} of the frames of their tracks",
        "more light, a larger view of people, or a less steep angle; people who are half hidden "
        "are missed too",
    )


def _low_rate(evidence: Evidence, tracks: _Tracks) -> Cause | None:
    overlap = iou(tracks.xyxy[:-1], tracks.xyxy[1:])[tracks.same]
    if len(overlap) < _LEAST_BOXES:
        return None
    far = float(np.mean(overlap < _FAR_APART))
    return Cause(
        "rate_too_low",
        far,
        _FAST,
        f"in {far:.0%} of steps people moved so far that two boxes of a track hardly overlap, at "
        f"{evidence.fps:.1f} frames per second",
        f"set fps of this camera to {2 * evidence.fps:.0f}",
    )


def _low_camera(evidence: Evidence) -> Cause | None:
    height_m = camera_height_m(evidence)
    if height_m is None:
        return None
    return Cause(
        "view_too_flat",
        -height_m,
        -_LOW_CAMERA_M,
        f"the sizes of people suggest a camera {height_m:.1f} m above the floor: people hide each "
        "other, and a small error of the feet is a large one on the floor",
        "mount the camera at 2.5 m or higher, or draw lines across the way people walk, not along",
    )


def camera_height_m(evidence: Evidence) -> float | None:
    """Return the height of a level camera above the floor, or None if it cannot be told.

    Feet at ``y`` lie ``(y - horizon) / height`` person heights below the camera, for every person
    (Hoiem, Efros and Hebert, Putting objects in perspective, CVPR 2006): the slope of box heights
    over feet is the ratio of the two heights. Theil and Sen's estimate bears a quarter of wrong
    boxes. It cannot be told if all feet are at one height in the picture.
    """
    people = evidence.people
    usable = (people.score >= evidence.birth_score) & ~evidence.cut_off(people.xyxy)
    boxes = people.xyxy[usable]
    if len(boxes) < _LEAST_BOXES or not np.ptp(boxes[:, 3]):
        return None
    chosen = boxes[np.linspace(0, len(boxes) - 1, min(len(boxes), _MOST_BOXES)).astype(int)]
    heights, feet = chosen[:, 3] - chosen[:, 1], chosen[:, 3]
    slope, _, low, high = scipy.stats.theilslopes(heights, feet)
    if low <= 0 or high > _UNCERTAIN * slope:
        return None
    return float(_PERSON_M / slope)


def _crowd(evidence: Evidence, tracks: _Tracks) -> Cause | None:
    del evidence
    if len(tracks.at_us) < _LEAST_BOXES:
        return None
    order = np.argsort(tracks.at_us, kind="stable")
    frames = np.split(order, np.flatnonzero(np.diff(tracks.at_us[order])) + 1)
    hidden = sum(_overlapped(tracks.xyxy[rows]) for rows in frames)
    share = hidden / len(order)
    return Cause(
        "people_overlap",
        share,
        _CROWDED,
        f"{share:.0%} of the boxes overlap another person's by {_OVERLAPPED:.0%} or more",
        "mount the camera higher and steeper, so that people hide each other less",
    )


def _overlapped(xyxy: Floats) -> int:
    """Return how many boxes of a frame overlap another one."""
    n = len(xyxy)
    one, other = np.triu_indices(n, 1)
    near = iou(xyxy[one], xyxy[other]) >= _OVERLAPPED
    return len(np.union1d(one[near], other[near]))


def _inside_ends(evidence: Evidence, tracks: _Tracks) -> NDArray[np.bool_]:
    """Return which positions are a track's first or last, although no person can appear there.

    People come and go at the border of the picture, and are there when the clip begins or ends.
    """
    begin_us, end_us = evidence.people.frames_us[[0, -1]]
    inside = ~evidence.cut_off(tracks.xyxy)
    edge_us = _EDGE_S * 1e6
    begins = tracks.is_first & (tracks.at_us > begin_us + edge_us)
    ends = tracks.is_last & (tracks.at_us < end_us - edge_us)
    return np.asarray((begins | ends) & inside)


def _broken_tracks(evidence: Evidence, tracks: _Tracks) -> Cause | None:
    count = int(tracks.is_first.sum())
    if count < _LEAST_TRACKS:
        return None
    ends = int(_inside_ends(evidence, tracks).sum())
    share = ends / (2 * count)
    return Cause(
        "tracks_broken",
        share,
        _BROKEN,
        f"{ends} of {2 * count} ends of tracks lie inside of the picture: people appear or vanish "
        "there, or are lost and found again",
        "people who are lost count twice: see the other causes; doors and pillars inside of the "
        "picture are no fault, but no line should be there",
    )


def _still_figures(evidence: Evidence, tracks: _Tracks) -> Cause | None:
    places = []
    for rows in np.split(np.arange(len(tracks.name)), np.flatnonzero(~tracks.same) + 1):
        if not len(rows) or np.ptp(tracks.at_us[rows]) < _STILL_S * 1e6:
            continue
        feet = tracks.feet[rows]
        spread = float(np.std(feet, axis=0).max() / np.median(tracks.height[rows]))
        if spread < _STILL:
            x, y = np.median(feet, axis=0) / (evidence.width, evidence.height)
            places.append(f"({x:.2f}, {y:.2f})")
    return Cause(
        "still_figures",
        float(len(places)),
        0.0,
        f"{len(places)} tracks do not move at all, with feet at {', '.join(places)}",
        "a mannequin or a poster: cover it, turn the camera, or keep zones and lines away from it",
    )


def _ends_at_place(evidence: Evidence, tracks: _Tracks, place: CountedPlace) -> Cause | None:
    near = _near(evidence, tracks, place)
    visitors = len(np.unique(tracks.name[near]))
    if not visitors:
        return Cause(
            "place_not_reached",
            1.0,
            0.0,
            "no track comes near",
            "draw it where the feet of people are seen, and check with trinetra check --connect",
            of=place.id,
        )
    ends = len(np.unique(tracks.name[near & _inside_ends(evidence, tracks)]))
    what = "line" if place.is_line else "border of the zone"
    return Cause(
        "line_at_track_ends" if place.is_line else "zone_at_track_ends",
        ends / visitors,
        _AT_LINE,
        f"{ends} of the {visitors} tracks that come near begin or end within half a body of it",
        f"move the {what} by half a body or more to where people are tracked before and after",
        of=place.id,
    )


def _hidden_feet(evidence: Evidence, tracks: _Tracks, place: CountedPlace) -> Cause | None:
    near = _near(evidence, tracks, place)
    if near.sum() < _LEAST_NEAR:
        return None
    cut = float(evidence.cut_off(tracks.xyxy[near], below_only=True).mean())
    return Cause(
        "feet_cut_off",
        cut,
        _CUT_OFF,
        f"{cut:.0%} of the boxes near it are cut off by the lower border of the picture",
        "move it up, or tilt the camera down: its feet tell where a person is",
        of=place.id,
    )


def _near(evidence: Evidence, tracks: _Tracks, place: CountedPlace) -> NDArray[np.bool_]:
    """Return which feet are within half a body's height of a line or of the border of a zone."""
    points = np.array(place.points) * (evidence.width, evidence.height)
    others = points[1:] if place.is_line else np.roll(points, -1, axis=0)
    away = np.full(len(tracks.name), np.inf)
    for a, b in zip(points, others, strict=False):
        away = np.minimum(away, _distance(tracks.feet, a, b))
    return np.asarray(away <= tracks.height / 2)


def _distance(points: Floats, a: Floats, b: Floats) -> Floats:
    """Return the distances of points ``(n, 2)`` to a segment."""
    along = b - a
    share = ((points - a) @ along / max(float(along @ along), 1e-9)).clip(0.0, 1.0)
    return np.asarray(np.linalg.norm(points - (a + share[:, None] * along), axis=1))
