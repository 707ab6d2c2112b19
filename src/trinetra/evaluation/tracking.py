"""Multi-object tracking scores: HOTA, identity F1 and CLEAR MOT.

The formulas are those of the papers; the details (ties, rounding slack, definition of a switch) are
those of TrackEval, whose figures the tests compare with.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from trinetra.evaluation.boxes import NAMELESS, Floats, Ints
from trinetra.evaluation.comparison import Comparison, assign
from trinetra.evaluation.scores import Score

_ALPHAS = np.arange(0.05, 0.99, 0.05)
_EPS = np.finfo(np.float64).eps
_KEEP_PARTNER = 1000.0
"""Larger than any overlap: a box keeps its match of the previous frame if it can."""


@dataclass(frozen=True, slots=True)
class Hota:
    """Higher order tracking accuracy and its parts, means over 19 overlap thresholds, in 0..1."""

    hota: float
    det_a: float
    ass_a: float
    loc_a: float


@dataclass(frozen=True, slots=True)
class IdentityF1:
    """Boxes with the right name throughout, under the best global assignment of names."""

    tp: int
    fp: int
    fn: int

    @property
    def idf1(self) -> float:
        """Twice the right boxes divided by all true and found boxes; 1 if there are none."""
        boxes = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / boxes if boxes else 1.0


@dataclass(frozen=True, slots=True)
class Clear:
    """Single-frame matches, identity switches, and fragmentations: resumptions after a gap."""

    tp: int
    fp: int
    fn: int
    id_switches: int
    fragmentations: int

    @property
    def mota(self) -> float:
        """One minus all errors per true box; may be negative."""
        truths = self.tp + self.fn
        return 1 - (self.fn + self.fp + self.id_switches) / truths if truths else 0.0


@dataclass(frozen=True, slots=True)
class _NamePairs:
    """Pairs of names that share a frame: ``of (p,)`` is the row of each pair of boxes."""

    of: Ints
    truth: Ints
    found: Ints

    def __len__(self) -> int:
        return len(self.truth)


def hota(comparison: Comparison) -> Hota:
    """Return HOTA, DetA, AssA and LocA.

    Luiten et al., HOTA: a higher order metric for evaluating multi-object tracking, IJCV 2021.
    """
    truth, found, pairs = comparison.truth, comparison.found, comparison.pairs
    names = _name_pairs(comparison)
    boxes = truth.boxes_per_name[names.truth] + found.boxes_per_name[names.found]
    met = np.bincount(names.of, _mutual_overlap(comparison), len(names))
    alignment = met / np.maximum(boxes - met, _EPS)
    chosen = assign(pairs, alignment[names.of] * pairs.iou)
    overlap = pairs.iou[chosen]
    det, ass, loc = (np.zeros(len(_ALPHAS)) for _ in range(3))
    for row, alpha in enumerate(_ALPHAS):
        is_match = overlap >= alpha - _EPS
        hits = int(is_match.sum())
        matched = np.bincount(names.of[chosen[is_match]], minlength=len(names))
        det[row] = hits / max(1, len(truth) + len(found) - hits)
        ass[row] = np.sum(matched * matched / np.maximum(1, boxes - matched)) / max(1, hits)
        loc[row] = overlap[is_match].sum() / hits if hits else 1.0
    return Hota(*(float(np.mean(part)) for part in (np.sqrt(det * ass), det, ass, loc)))


def identity_f1(comparison: Comparison, min_iou: float = 0.5) -> IdentityF1:
    """Return the counts behind IDF1; nameless found boxes claim no name and are no errors.

    Ristani et al., Performance measures and a data set for multi-target, multi-camera tracking,
    ECCV workshops 2016.
    """
    near = comparison.pairs.iou >= min_iou - _EPS
    is_named = comparison.found.name[comparison.pairs.found] != NAMELESS
    names = _name_pairs(comparison)
    together = np.bincount(names.of[near & is_named], minlength=len(names))
    tp = _best_naming(names, together)
    truths, claims = len(comparison.truth), int((comparison.found.name != NAMELESS).sum())
    return IdentityF1(tp, claims - tp, truths - tp)


def clear(comparison: Comparison, min_iou: float = 0.5) -> Clear:
    """Return matches, misses, false boxes, identity switches and fragmentations.

    Bernardin and Stiefelhagen, Evaluating multiple object tracking performance: the CLEAR MOT
    metrics, 2008. A true box keeps its match of the previous frame if the two still overlap enough.
    A switch is counted against the last match, however long ago.
    """
    truth, found, pairs = comparison.truth, comparison.found, comparison.pairs
    last = np.full(len(truth.names), NAMELESS)
    just_before = last.copy()
    begun = np.zeros(len(truth.names), np.int64)
    true_names, found_names = truth.name[pairs.truth], found.name[pairs.found]
    matches = switches = 0
    for begin, end, width in pairs.blocks():
        mine, theirs = true_names[begin:end], found_names[begin:end]
        value = _KEEP_PARTNER * (just_before[mine] == theirs) + pairs.iou[begin:end]
        value[pairs.iou[begin:end] < min_iou - _EPS] = 0.0
        rows, columns = scipy.optimize.linear_sum_assignment(
            value.reshape(-1, width), maximize=True
        )
        chosen = rows * width + columns
        chosen = chosen[value[chosen] > _EPS]
        who, by = mine[chosen], theirs[chosen]
        switches += int(np.sum((last[who] != NAMELESS) & (last[who] != by)))
        begun[who] += just_before[who] == NAMELESS
        just_before[:] = NAMELESS
        last[who] = just_before[who] = by
        matches += len(chosen)
    false, missed = len(found) - matches, len(truth) - matches
    return Clear(matches, false, missed, switches, int(np.maximum(begun - 1, 0).sum()))


def score_tracks(comparison: Comparison, *, of: str = "", min_iou: float = 0.5) -> list[Score]:
    """Return all scores of tracks; not measured if there is neither truth nor finding."""
    boxes = len(comparison.truth)
    if not boxes and not len(comparison.found):
        return [Score(name="hota", of=of, value=None, n=0, note="no person present and none found")]
    whole, named = hota(comparison), identity_f1(comparison, min_iou)
    plain = clear(comparison, min_iou)
    values = {
        "hota": whole.hota,
        "det_a": whole.det_a,
        "ass_a": whole.ass_a,
        "loc_a": whole.loc_a,
        "idf1": named.idf1,
        "mota": plain.mota,
        "id_switches": plain.id_switches,
        "fragmentations": plain.fragmentations,
        "missed": plain.fn,
        "false": plain.fp,
    }
    return [Score(name=name, of=of, value=float(v), n=boxes) for name, v in values.items()]


def _name_pairs(comparison: Comparison) -> _NamePairs:
    """Return the pairs of names that share a frame; far fewer than all names times all names."""
    pairs, width = comparison.pairs, len(comparison.found.names) + 1
    true_name = comparison.truth.name[pairs.truth]
    found_name = comparison.found.name[pairs.found]
    codes, rows = np.unique(true_name * width + found_name + 1, return_inverse=True)
    return _NamePairs(rows, codes // width, codes % width - 1)


def _mutual_overlap(comparison: Comparison) -> Floats:
    """Return each pair's overlap divided by all overlap that its two boxes have in the frame."""
    pairs = comparison.pairs
    of_truth = np.bincount(pairs.truth, pairs.iou, len(comparison.truth))
    of_found = np.bincount(pairs.found, pairs.iou, len(comparison.found))
    total = of_truth[pairs.truth] + of_found[pairs.found] - pairs.iou
    return np.divide(pairs.iou, total, out=np.zeros_like(total), where=total > _EPS)


def _best_naming(names: _NamePairs, together: Ints) -> int:
    """Return the maximum number of right boxes when each name is assigned to one other name.

    Names that share no frame, even indirectly, are assigned separately: the connected components
    are small, whereas one matrix of all names would not fit into memory.
    """
    met = np.flatnonzero(together)
    if not len(met):
        return 0
    mine, theirs = names.truth[met], names.found[met]
    offset, size = int(mine.max()) + 1, int(mine.max() + theirs.max()) + 2
    graph = scipy.sparse.coo_array((np.ones(len(met)), (mine, theirs + offset)), shape=(size, size))
    _, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
    order = np.argsort(group[mine], kind="stable")
    bounds = np.flatnonzero(np.diff(group[mine][order])) + 1
    return sum(
        _best_in_group(mine[part], theirs[part], together[met][part])
        for part in np.split(order, bounds)
    )


def _best_in_group(mine: Ints, theirs: Ints, together: Ints) -> int:
    if len(together) == 1:
        return int(together[0])
    rows, row = np.unique(mine, return_inverse=True)
    columns, column = np.unique(theirs, return_inverse=True)
    boxes = np.zeros((len(rows), len(columns)), np.int64)
    boxes[row, column] = together
    return int(boxes[scipy.optimize.linear_sum_assignment(boxes, maximize=True)].sum())
