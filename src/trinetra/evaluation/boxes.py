"""Boxes over time, the common form in which ground truth and events are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NAMELESS = -1
"""Name code of a box that is not assigned to a person or track."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one camera, one row each, in order of time.

    ``at_us (n,)`` microseconds since 1970, ``name (n,)`` an index into ``names`` or NAMELESS,
    ``xyxy (n, 4)`` pixels, ``score (n,)``; ``frames_us (f,)`` holds every frame that was processed,
    including empty ones, sorted and without duplicates.
    """

    at_us: Ints
    name: Ints
    xyxy: Floats
    score: Floats
    names: tuple[str, ...]
    frames_us: Ints

    def __len__(self) -> int:
        return len(self.at_us)

    def shifted(self, by_us: int) -> "Boxes":
        """Return the same boxes shifted in time."""
        return replace(self, at_us=self.at_us + by_us, frames_us=self.frames_us + by_us)

    def with_frames(self, more_us: Ints) -> "Boxes":
        """Return the same boxes, with additional processed frames."""
        return replace(self, frames_us=np.union1d(self.frames_us, more_us))

    def where(self, keep: NDArray[np.bool_]) -> "Boxes":
        """Return some of the boxes, with all frames."""
        return replace(
            self,
            at_us=self.at_us[keep],
            name=self.name[keep],
            xyxy=self.xyxy[keep],
            score=self.score[keep],
        )

    def by_presence(self, gap_us: int) -> "Boxes":
        """Return the boxes with a new name after each absence of more than ``gap_us``."""
        order = np.lexsort((self.at_us, self.name))
        is_new = np.diff(self.name[order], prepend=NAMELESS - 1) != 0
        is_new |= np.diff(self.at_us[order], prepend=0) > gap_us
        name = np.empty(len(self), np.int64)
        name[order] = np.cumsum(is_new) - 1
        firsts = self.name[order][is_new].tolist()
        names = tuple(f"{self.names[code]}#{i}" for i, code in enumerate(firsts))
        return replace(self, name=name, names=names)

    def cut(self, cuts: Mapping[str, Sequence[tuple[int, str]]]) -> "Boxes":
        """Return the boxes with new names from given times on; a name's cuts are in time order."""
        name, names = self.name.copy(), list(self.names)
        for code, old in enumerate(self.names):
            rows = np.flatnonzero(self.name == code) if old in cuts else ()
            for from_us, new in cuts.get(old, ()):
                name[rows[self.at_us[rows] >= from_us]] = len(names)
                names.append(new)
        return replace(self, name=name, names=tuple(names))

    def renamed(self, new_names: Mapping[str, str]) -> "Boxes":
        """Return the boxes under new names; a box whose name has no new name becomes nameless."""
        kept = sorted({new_names[name] for name in self.names if name in new_names})
        code = {name: i for i, name in enumerate(kept)}
        lookup = [code[new_names[n]] if n in new_names else NAMELESS for n in self.names]
        table = np.array([*lookup, NAMELESS], np.int64)  # NAMELESS is -1 and indexes the last entry
        return replace(self, name=table[self.name], names=tuple(kept))


@dataclass(slots=True)
class BoxesBuilder:
    """Collects boxes row by row."""

    _rows: list[tuple[int, int, float, float, float, float, float]] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)
    _frames: set[int] = field(default_factory=set)

    def frame(self, at_us: int) -> None:
        """Record that a frame was processed."""
        self._frames.add(at_us)

    def add(
        self,
        at_us: int,
        name: str | None,
        xyxy: tuple[float, float, float, float],
        score: float = 1.0,
    ) -> None:
        """Add a box and its frame."""
        self._frames.add(at_us)
        code = NAMELESS if name is None else self._codes.setdefault(name, len(self._codes))
        self._rows.append((at_us, code, *xyxy, score))

    def build(self) -> Boxes:
        """Return the collected boxes in order of time."""
        columns = tuple(zip(*self._rows, strict=True)) or ((),) * 7
        at_us = np.array(columns[0], np.int64)
        order = np.argsort(at_us, kind="stable")
        return Boxes(
            at_us=at_us[order],
            name=np.array(columns[1], np.int64)[order],
            xyxy=np.array(columns[2:6], np.float64).T[order],
            score=np.array(columns[6], np.float64)[order],
            names=tuple(self._codes),
            frames_us=np.array(sorted(self._frames), np.int64),
        )


def no_boxes() -> Boxes:
    """Return the boxes of a camera that has processed no frame."""
    return BoxesBuilder().build()


def iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union of boxes ``a (n, 4)`` and ``b (n, 4)``, row by row.

    The result is 0 for two boxes without area.
    """
    least, most = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = _area(np.hstack([least, most]))
    total = _area(a) + _area(b) - shared
    return np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return sides[:, 0] * sides[:, 1]
