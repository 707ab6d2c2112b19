"""Evidence that a track shows a living person, and not a poster, a photograph or a screen.

A living head moves, even that of a person who stands still. On real clips a person who pauses moves
over 0.14 face widths in a second; the detected center of a still photograph, filmed with noise,
stays within 0.03 of them, with a standard deviation of 0.0075 at most. A poster with shoulders is
detected as a body, so a body alone says nothing.
"""

from dataclasses import dataclass

import msgspec

from trinetra.events.schema import FaceBox
from trinetra.values import Instant, seconds_between


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """How far a face must move to be that of a living person.

    Its smoothed center must span ``span_widths`` face widths within ``within_s``: a camera that
    sags or a sun that moves takes longer. ``share`` is the weight of a new position.
    """

    span_widths: float = 0.12
    within_s: float = 10.0
    share: float = 0.5


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The smoothed center of a face, in pixels."""

    x: float
    y: float


class LifeSigns(msgspec.Struct, frozen=True, array_like=True):
    """What a track has shown of a living person.

    ``place`` is the smoothed center of its face, ``low`` and ``high`` its bounds from ``since`` on.
    """

    has_body: bool = False
    has_moved: bool = False
    place: Place | None = None
    low: Place | None = None
    high: Place | None = None
    since: Instant | None = None

    @property
    def is_person(self) -> bool:
        """True if the track may be counted: a face alone could be a poster."""
        return self.has_body or self.has_moved


def with_body(signs: LifeSigns) -> LifeSigns:
    """Return the signs after a body was detected."""
    return signs if signs.has_body else msgspec.structs.replace(signs, has_body=True)


def with_face(signs: LifeSigns, face: FaceBox, at: Instant, policy: LifePolicy) -> LifeSigns:
    """Return the signs after a face was seen."""
    if signs.has_moved:
        return signs
    x1, y1, x2, y2 = face.box
    seen = Place((x1 + x2) / 2, (y1 + y2) / 2)
    if signs.place is None or signs.low is None or signs.high is None or signs.since is None:
        return LifeSigns(signs.has_body, place=seen, low=seen, high=seen, since=at)
    place = Place(
        signs.place.x + policy.share * (seen.x - signs.place.x),
        signs.place.y + policy.share * (seen.y - signs.place.y),
    )
    low = Place(min(signs.low.x, place.x), min(signs.low.y, place.y))
    high = Place(max(signs.high.x, place.x), max(signs.high.y, place.y))
    span_px = max(high.x - low.x, high.y - low.y)
    if span_px >= policy.span_widths * max(x2 - x1, 1.0):
        return LifeSigns(signs.has_body, has_moved=True)
    if seconds_between(signs.since, at) > policy.within_s:
        return LifeSigns(signs.has_body, place=place, low=place, high=place, since=at)
    return LifeSigns(signs.has_body, place=place, low=low, high=high, since=signs.since)
