"""Labeled and counted recordings of fixed cameras."""

from dataclasses import dataclass
from pathlib import Path

from trinetra.evaluation.truth import ONLY_CAMERA, Crossing, Facts, Stay

Point = tuple[float, float]
Rect = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class CountedLine:
    """A counting line in normalized coordinates, with the crossings that a person counted.

    ``into_us`` and ``out_us`` are times from the start; ``in`` is from the left side to the right
    side, as seen from ``a`` to ``b``. Both are None for a line without hand counts.
    """

    id: str
    a: Point
    b: Point
    into_us: tuple[int, ...] | None = None
    out_us: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class CountedZone:
    """A zone in normalized coordinates, with its stays from and to, as times from the start.

    ``stays_us`` is None for a zone without hand counts.
    """

    id: str
    polygon: tuple[Point, ...]
    stays_us: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class HandCounts:
    """Counts of one view; ``people`` is the least and the most that a person may count."""

    lines: tuple[CountedLine, ...] = ()
    zones: tuple[CountedZone, ...] = ()
    people: tuple[int, int] | None = None

    def facts(self, start_us: int, min_dwell_s: float) -> Facts:
        """Return what was counted in a recording that began at ``start_us``.

        Stays shorter than ``min_dwell_s`` are left out.
        """
        crossings = [
            Crossing(ONLY_CAMERA, line.id, direction, start_us + at_us)
            for line in self.lines
            for direction, times_us in (("in", line.into_us), ("out", line.out_us))
            for at_us in times_us or ()
        ]
        stays = [
            Stay(ONLY_CAMERA, zone.id, start_us + entered_us, start_us + left_us)
            for zone in self.zones
            for entered_us, left_us in zone.stays_us or ()
            if left_us - entered_us >= min_dwell_s * 1e6
        ]
        return Facts(
            crossings=tuple(crossings) if self.counted_lines else None,
            stays=tuple(stays) if self.counted_zones else None,
        )

    @property
    def counted_lines(self) -> frozenset[str]:
        """The lines with hand counts."""
        return frozenset(line.id for line in self.lines if line.into_us is not None)

    @property
    def counted_zones(self) -> frozenset[str]:
        """The zones with hand counts."""
        return frozenset(zone.id for zone in self.zones if zone.stays_us is not None)


@dataclass(frozen=True, slots=True)
class LabeledView:
    """One recording of one fixed camera, with its labels, its counts, or both.

    ``source`` is a video or a folder of pictures, ``scene`` the group of views that must not be
    split between tuning and test. ``fps`` is the frame rate of a source that does not tell its own.
    In the ``ignored`` rectangles (normalized) the labels are incomplete. With ``ignores_cut_off``
    people who are cut off by the border of the picture have no labels. ``empty_us`` are spans from
    the start without a person outside of these rectangles. ``identifiable`` is the number of people
    whose face is large enough to be identified, None if unknown.
    """

    name: str
    scene: str
    source: Path
    labels: Path | None = None
    fps: float | None = None
    counts: HandCounts | None = None
    ignored: tuple[Rect, ...] = ()
    ignores_cut_off: bool = False
    empty_us: tuple[tuple[int, int], ...] = ()
    identifiable: int | None = None

    @property
    def can_be_scored(self) -> bool:
        """Whether anything is known of the recording that findings can be compared with."""
        known = (self.labels, self.counts, self.identifiable)
        return bool(self.empty_us) or any(part is not None for part in known)
