"""Labeled and counted recordings of fixed cameras: one value for each view."""

from dataclasses import dataclass
from pathlib import Path

from trinetra.evaluation.truth import ONLY_CAMERA, Crossing, Facts, Stay

Point = tuple[float, float]
Rect = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class CountedLine:
    """A counting line in normalized coordinates, with the crossings that a person counted.

    ``into_us`` and ``out_us`` are times from the start; ``in`` is from the left side of ``a`` to
    ``b`` to the right side.
    """

    id: str
    a: Point
    b: Point
    into_us: tuple[int, ...] = ()
    out_us: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CountedZone:
    """A zone in normalized coordinates, with its stays from and to, as times from the start."""

    id: str
    polygon: tuple[Point, ...]
    stays_us: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HandCounts:
    """Counts of one view; ``people`` is the least and the most that a person may count."""

    lines: tuple[CountedLine, ...] = ()
    zones: tuple[CountedZone, ...] = ()
    people: tuple[int, int] | None = None

    def facts(self, min_dwell_s: float) -> Facts:
        """Return the counts as facts with times from the start; shorter stays are left out."""
        crossings = [
            Crossing(ONLY_CAMERA, line.id, direction, at_us)
            for line in self.lines
            for direction, times_us in (("in", line.into_us), ("out", line.out_us))
            for at_us in times_us
        ]
        stays = [
            Stay(ONLY_CAMERA, zone.id, *span)
            for zone in self.zones
            for span in zone.stays_us
            if span[1] - span[0] >= min_dwell_s * 1e6
        ]
        return Facts(
            crossings=tuple(crossings) if self.lines else None,
            stays=tuple(stays) if self.zones else None,
        )


@dataclass(frozen=True, slots=True)
class LabeledView:
    """One recording of one fixed camera, with its labels, its counts, or both.

    ``source`` is a video or a folder of pictures, ``scene`` the group of views that must not be
    split between tuning and test. ``fps`` is the frame rate of a source that does not tell its own.
    In the ``ignored`` rectangles (normalized) the labels are incomplete. With ``ignores_cut_off``
    people who are cut off by the border of the picture have no labels.
    """

    name: str
    scene: str
    source: Path
    labels: Path | None = None
    fps: float | None = None
    counts: HandCounts | None = None
    ignored: tuple[Rect, ...] = ()
    ignores_cut_off: bool = False
