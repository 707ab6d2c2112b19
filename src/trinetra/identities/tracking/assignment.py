"""Who goes with whom, at most one to one, so that the gains add up to the most."""

from collections.abc import Mapping

import numpy as np
import scipy


def best_pairs(gains: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """Return the pairs ``row -> column`` of the greatest total gain; a pair not listed gains 0.

    Most frames leave no choice: nobody competes for anybody. Only where somebody does, the
    assignment problem is solved (Kuhn, 1955; Crouse, 2016, as in SciPy).
    """
    rows, columns = {row for row, _ in gains}, {column for _, column in gains}
    if len(rows) == len(gains) == len(columns):
        return dict(gains.keys())
    row_of, column_of = sorted(rows), sorted(columns)
    row_at = {row: at for at, row in enumerate(row_of)}
    column_at = {column: at for at, column in enumerate(column_of)}
    table = np.zeros((len(row_of), len(column_of)))
    for (row, column), gain in gains.items():
        table[row_at[row], column_at[column]] = gain
    chosen = zip(*scipy.optimize.linear_sum_assignment(-table), strict=True)
    pairs = ((row_of[int(i)], column_of[int(j)]) for i, j in chosen)
    return {row: column for row, column in pairs if (row, column) in gains}
