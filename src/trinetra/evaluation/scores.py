"""Scores and sheets of scores, as plain values for JSON and for a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trinetra.evaluation.intervals import Interval

Unit = Literal["", "%", "s", "per 1,000 visits"]
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One figure: its subject, its confidence interval and its sample size.

    ``value`` is None if it was not measured; ``note`` then says why. ``truth`` and ``found`` are
    the two figures that were compared, if any.
    """

    name: str
    value: float | None
    of: str = ""
    unit: Unit = ""
    interval: Interval | None = None
    truth: float | None = None
    found: float | None = None
    n: int | None = None
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the score as plain values, without absent fields."""
        document: dict[str, object] = {"name": self.name, "value": rounded(self.value)}
        optional: dict[str, object] = {
            "of": self.of or None,
            "unit": self.unit or None,
            "interval": [rounded(end) for end in self.interval] if self.interval else None,
            "truth": rounded(self.truth),
            "found": rounded(self.found),
            "n": self.n,
            "note": self.note or None,
        }
        return document | {key: value for key, value in optional.items() if value is not None}

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "Score":
        """Return a score of ``as_json``. Raises KeyError or TypeError."""
        interval = document.get("interval")
        return cls(**{**document, "interval": Interval(*interval) if interval else None})


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """The scores of one kind; ``basis`` describes what was compared: frames, boxes, cameras."""

    kind: str
    scores: tuple[Score, ...]
    basis: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the sheet as plain values."""
        return {
            "kind": self.kind,
            "basis": dict(self.basis),
            "scores": [score.as_json() for score in self.scores],
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "ScoreSheet":
        """Return a sheet of ``as_json``. Raises KeyError or TypeError."""
        scores = tuple(map(Score.of_json, document["scores"]))
        return cls(document["kind"], scores, document["basis"])

    def value(self, name: str, of: str = "") -> float | None:
        """Return a figure of the sheet. Raises KeyError if there is no such score."""
        for score in self.scores:
            if (score.name, score.of) == (name, of):
                return score.value
        raise KeyError(name, of)


def share(part: float, whole: float) -> float | None:
    """Return ``part / whole``, or None if ``whole`` is 0."""
    return part / whole if whole else None


def rounded(value: float | None) -> float | None:
    """Return the value rounded for printing; None for None and for values that are not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, _DIGITS)
