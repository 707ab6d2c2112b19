"""Maximum-weight bipartite assignment."""

from collections.abc import Mapping

import numpy as np
import scipy


def best_pairs(gains: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """Return the one-to-one pairs ``row -> column`` with the greatest total gain.

    Pairs that are not listed gain 0 and are never returned. Solved as a linear sum assignment
    (Kuhn, 1955; Crouse, 2016, as in SciPy).
    """
    # In most frames no row and no column occurs twice: every pair is then part of the optimum.
    rows, columns = {row for row, _ in gains}, {column for _, column in gains}
    if len(rows) == len(gains) == len(columns):
        return dict(gains.keys())
    row_of, column_of = sorted(rows), sorted(columns)
    row_at = {row: at for at, row in enumerate(row_of)}
    column_at = {column: at for at, column in enumerate(column_of)}
    table = np.zeros((len(row_of), len(column_of)))
    for (row, column), gain in gains.items():
        table[row_at[row], column_at[column]] = gain
    # The optimum of the sum, not greedy: two people close together each have a fair match with both
    # detections, and taking the best pair first would leave the other one the wrong detection.
    chosen = zip(*scipy.optimize.linear_sum_assignment(-table), strict=True)
    pairs = ((row_of[int(i)], column_of[int(j)]) for i, j in chosen)
    return {row: column for row, column in pairs if (row, column) in gains}
