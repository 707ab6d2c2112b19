"""The tail of impostor scores; free of NumPy, so that the model manifest loads fast."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImpostorTail:
    """Upper tail of a visitor's best score with one other person in the gallery.

    ``P(score > s) = rate * exp((start - s) / scale)`` for ``s >= start``, on the calibrated scale:
    a generalized Pareto tail of shape 0, whose maxima have a Gumbel distribution (Balkema and de
    Haan 1974, Pickands 1975).
    """

    start: float
    rate: float
    scale: float

    def score_at(self, rate: float) -> float:
        """Return the score that a share ``rate`` of visitors exceeds."""
        return self.start + self.scale * math.log(self.rate / rate)

    def rate_at(self, score: float) -> float:
        """Return the share of visitors that exceed a score, at most 1."""
        return min(1.0, self.rate * math.exp((self.start - score) / self.scale))
