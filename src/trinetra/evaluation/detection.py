"""Detection scores in single frames: precision, recall and average precision."""

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Floats
from trinetra.evaluation.comparison import Comparison
from trinetra.evaluation.intervals import bootstrap_sums
from trinetra.evaluation.scores import Score, ScoreSheet, share

_BLOCK_FRAMES = 25
_EPS = np.finfo(np.float64).eps


def match(comparison: Comparison, min_iou: float) -> NDArray[np.bool_]:
    """Match every found box, best score first, to the free true box with the largest overlap.

    Returns a mask of the matched found boxes, ``(found,)``. Everingham et al., The PASCAL Visual
    Object Classes Challenge: a retrospective, 2015; as in COCO, a box whose best true box is taken
    may still get the next best.
    """
    pairs, found = comparison.pairs, comparison.found
    near = np.flatnonzero(pairs.iou >= min_iou - _EPS)
    order = near[np.lexsort((-pairs.iou[near], pairs.found[near], -found.score[pairs.found[near]]))]
    hit = np.zeros(len(found), np.bool_)
    is_free = np.ones(len(comparison.truth), np.bool_)
    for true_row, found_row in zip(
        pairs.truth[order].tolist(), pairs.found[order].tolist(), strict=True
    ):
        if is_free[true_row] and not hit[found_row]:
            is_free[true_row], hit[found_row] = False, True
    return hit


def average_precision(hit: NDArray[np.bool_], score: Floats, truths: int) -> float | None:
    """Return the area under the interpolated precision-recall curve.

    All-point interpolation (PASCAL VOC since 2010): each recall gets the best precision at that
    recall or above. Boxes of equal score count together, so that their order does not matter. None
    if there are no true boxes.
    """
    if not truths:
        return None
    order = np.argsort(-score, kind="stable")
    last_of_score = np.flatnonzero(np.diff(score[order], append=-np.inf) != 0)
    hits = np.cumsum(hit[order])[last_of_score]
    precision = hits / (last_of_score + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    recall_gained = np.diff(hits, prepend=0) / truths
    return float(np.sum(best_from_here * recall_gained))


def score_detections(
    comparison: Comparison, *, min_iou: float = 0.5, min_score: float = 0.0, seed: int = 0
) -> ScoreSheet:
    """Return precision, recall, F1 at ``min_score``, and average precision over all scores."""
    hit = match(comparison, min_iou)
    found, truths = comparison.found, len(comparison.truth)
    # Stronger boxes are matched first: without the weaker ones, their matches would be the same.
    strong = found.score >= min_score
    hits, said = int((hit & strong).sum()), int(strong.sum())
    blocks = _blocks(comparison, hit & strong, strong)
    of_truth, of_claims = (
        bootstrap_sums(blocks[:, [0, column]], _ratio, np.random.default_rng(seed))
        for column in (1, 2)
    )
    scores = (
        Score(
            name="average_precision",
            value=average_precision(hit, found.score, truths),
            n=truths,
            note="" if truths else "no true box in these frames",
        ),
        Score(name="recall", value=share(hits, truths), interval=of_truth, n=truths),
        Score(name="precision", value=share(hits, said), interval=of_claims, n=said),
        Score(name="f1", value=share(2 * hits, truths + said)),
        Score(name="missed", value=float(truths - hits), n=truths),
        Score(name="false", value=float(said - hits), n=said),
    )
    return ScoreSheet("detections", scores, {"min_iou": min_iou, "min_score": min_score})


def _ratio(sums: Floats) -> Floats:
    ratio = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=ratio, where=sums[:, 1] > 0)
    return ratio


def _blocks(comparison: Comparison, hit: NDArray[np.bool_], strong: NDArray[np.bool_]) -> Floats:
    """Return hits, truths and claims ``(blocks, 3)``; a block is a run of adjacent frames."""
    blocks = -(-comparison.frames // _BLOCK_FRAMES)
    truth_block = comparison.truth.frame // _BLOCK_FRAMES
    found_block = comparison.found.frame // _BLOCK_FRAMES
    columns = (
        np.bincount(found_block[hit], minlength=blocks),
        np.bincount(truth_block, minlength=blocks),
        np.bincount(found_block[strong], minlength=blocks),
    )
    return np.stack(columns, axis=1).astype(np.float64)
