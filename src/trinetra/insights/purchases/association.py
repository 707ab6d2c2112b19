"""One-to-one association of receipts and services, and its probabilities.

The association that is most likely as a whole is found by the Hungarian algorithm; how certain each
of its pairs is, is a marginal over all associations, by belief propagation (J. Williams and R. Lau,
Approximate evaluation of marginal association probabilities with belief propagation, 2014).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TURNS = 200
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs that are possible at all: receipt ``row (k,)``, service ``column (k,)``, ``odds``.

    The odds are those of the pair against the receipt having no service, as if neither of the two
    had another possible partner. ``rows`` and ``columns`` are the numbers of receipts and services.
    """

    row: Ints
    column: Ints
    odds: Floats
    rows: int
    columns: int

    def by_row(self, values: Floats) -> Floats:
        """Return the sums ``(rows,)`` of values of the pairs."""
        sums: Floats = np.bincount(self.row, values, self.rows).astype(np.float64)
        return sums

    def by_column(self, values: Floats) -> Floats:
        """Return the sums ``(columns,)`` of values of the pairs."""
        sums: Floats = np.bincount(self.column, values, self.columns).astype(np.float64)
        return sums


def marginals(pairs: Pairs) -> Floats:
    """Return the probability ``(k,)`` of every pair."""
    to_row = np.ones(len(pairs.odds))
    for _ in range(_TURNS):
        weighted = pairs.odds * to_row
        to_column = pairs.odds / (1.0 + pairs.by_row(weighted)[pairs.row] - weighted)
        before = to_row
        to_row = 1.0 / (1.0 + pairs.by_column(to_column)[pairs.column] - to_column)
        if np.abs(to_row - before).max(initial=0.0) < _TOLERANCE:
            break
    weighted = pairs.odds * to_row
    share: Floats = weighted / (1.0 + pairs.by_row(weighted)[pairs.row])
    return share


def most_likely(pairs: Pairs) -> dict[int, int]:
    """Return the index of the pair of each receipt that has one, so that their odds are greatest.

    A receipt whose odds are all below 1 has none.
    """
    wins = np.flatnonzero(pairs.odds > 1.0)
    # A receipt without a partner takes one of the columns appended for it, which gain nothing.
    gain: NDArray[Any] = np.zeros((pairs.rows, pairs.columns + pairs.rows))
    index = np.full((pairs.rows, pairs.columns + pairs.rows), -1)
    gain[pairs.row[wins], pairs.column[wins]] = np.log(pairs.odds[wins])
    index[pairs.row[wins], pairs.column[wins]] = wins
    rows, columns = scipy.optimize.linear_sum_assignment(gain, maximize=True)
    chosen = index[rows, columns]
    return {int(row): int(pair) for row, pair in zip(rows, chosen, strict=True) if pair >= 0}
