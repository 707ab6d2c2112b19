"""Statistics of a detector's errors over some labeled footage: ``measure(footage)``.

The result is plain numbers, in the form in which the digital twin reads its noise. Errors are
relative to the height of a box, sizes to the longer side of the picture, so that they hold for any
resolution.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from trinetra.evaluation.noise.fits import (
    Floats,
    Ints,
    logistic,
    mean_persistence,
    normal_scores,
    persistence,
    quantiles,
)
from trinetra.evaluation.noise.footage import Compared, iou, spells

CLEAR = 0.75
"""Fraction in view from which a person counts as clearly visible."""
SMALL = 0.15
"""Height, of the longer side of the picture, below which people are missed for being small."""
HIDDEN_EDGES = (0.1, 0.4, 0.7, 1.01)
"""Classes of how much of a person is hidden, for merged boxes."""
_WELL_FOUND_IOU = 0.7
_ALL_IN_VIEW = 0.95
_STRIPES, _CHANNELS = 6, 3
_SAME_PLACE_IOU = 0.3
_SPELL_GAP_S = 0.2
_LEAST_WALK = 10
"""Shorter walks say little about what is constant in them."""


def measure(every: Sequence[Compared]) -> dict[str, Any]:
    """Return the statistics of some sequences together."""
    return {
        "detection": _detection(every),
        "boxes": _boxes(every),
        "parts": _parts(every),
        "merged": _merged(every),
        "clothes": _clothes(every),
    }


# --- misses and scores --------------------------------------------------------------------------


def miss_inputs(height: Floats, visible: Floats) -> Floats:
    """Return the inputs ``(n, 3)`` of the miss rate: 1, the hidden share, and how small it is."""
    small = np.log(np.maximum(SMALL / np.maximum(height, 1e-6), 1.0))
    return np.stack([np.ones(len(height)), 1 - visible, small], axis=1)


def _detection(every: Sequence[Compared]) -> dict[str, Any]:
    height, visible, found = (
        np.concatenate([getattr(c, name) for c in every])
        for name in ("height", "visible", "is_found")
    )
    weights = logistic(miss_inputs(height, visible), ~found)
    scores = np.concatenate([c.footage.score[c.match[c.is_found]] for c in every])
    clear = visible[found] >= CLEAR
    parts = []
    for one in every:
        p = 1 / (1 + np.exp(-miss_inputs(one.height, one.visible) @ weights))
        luck = _luck(one, p)
        footage = one.footage
        fit = persistence(luck, footage.who, footage.true_frame, footage.fps)
        parts.append((fit, len(luck)))
    return {
        "miss": [round(float(weight), 3) for weight in weights],
        "score_clear": quantiles(scores[clear], 3),
        "score_hidden": quantiles(scores[~clear], 3),
        "persistence": asdict(mean_persistence(parts)),
    }


def _luck(one: Compared, p: Floats) -> Floats:
    """Return how well each label was found given its miss rate ``p``, as a standard normal value.

    A miss has the mean of the values below its rate; a box found with a high score has a high one.
    """
    edge = scipy.stats.norm.ppf(np.clip(p, 1e-4, 1 - 1e-4))
    luck = -scipy.stats.norm.pdf(edge) / scipy.stats.norm.cdf(edge)
    for is_clear in (True, False):
        rows = np.flatnonzero(one.is_found & ((one.visible >= CLEAR) == is_clear))
        if len(rows):
            rank = (scipy.stats.rankdata(one.footage.score[one.match[rows]]) - 0.5) / len(rows)
            luck[rows] = scipy.stats.norm.ppf(p[rows] + (1 - p[rows]) * rank)
    return np.asarray(luck)


# --- boxes --------------------------------------------------------------------------------------


def _boxes(every: Sequence[Compared]) -> dict[str, Any]:
    errors = [box_errors(one) for one in every]
    rows = [one.is_found & ~one.merged for one in every]
    clear = np.concatenate([c.visible[r] >= CLEAR for c, r in zip(every, rows, strict=True)])
    together = np.concatenate(errors)
    scores = np.stack([normal_scores(side) for side in together.T], axis=1)
    fits = []
    for one, error, row in zip(every, errors, rows, strict=True):
        who, frame = one.footage.who[row], one.footage.true_frame[row]
        sides = (normal_scores(side) for side in error.T)
        fits += [(persistence(side, who, frame, one.footage.fps), len(side)) for side in sides]
    return {
        "clear": [quantiles(side) for side in together[clear].T],
        "hidden": [quantiles(side) for side in together[~clear].T],
        "correlation": np.corrcoef(scores.T).round(3).tolist(),
        "persistence": asdict(mean_persistence(fits)),
    }


def box_errors(one: Compared) -> Floats:
    """Return the errors ``(n, 4)`` of the sides of single boxes, in units of the label's height.

    Labels are drawn tighter or wider from one data set to the next: what all boxes of a sequence
    have in common is the labels' and is taken off.
    """
    rows = np.flatnonzero(one.is_found & ~one.merged)
    true, found = one.footage.true_xyxy[rows], one.footage.found_xyxy[one.match[rows]]
    error = (found - true) / np.maximum(true[:, 3] - true[:, 1], 1)[:, None]
    return np.asarray(error - np.median(error, axis=0))


# --- surplus boxes ------------------------------------------------------------------------------


def _parts(every: Sequence[Compared]) -> dict[str, Any]:
    """Return how often and how long a second box shows a part of a person."""
    places, scores, lengths, labeled_s = [], [], [], 0.0
    for one in every:
        footage = one.footage
        labeled_s += len(footage.who) / footage.fps
        frames: dict[int, list[int]] = {}
        for row, owner in one.surplus.items():
            if owner >= 0:
                box, label = footage.found_xyxy[row], footage.true_xyxy[owner]
                sides = np.tile(label[2:] - label[:2], 2)
                places.append((box - np.tile(label[:2], 2)) / sides)
                scores.append(footage.score[row])
                frames.setdefault(int(footage.who[owner]), []).append(int(footage.found_frame[row]))
        lengths += list(_lengths_s(frames.values(), footage.fps))
    return {
        "per_person_s": round(len(lengths) / labeled_s, 4),
        "length_s": quantiles(np.array(lengths), 3),
        "place": [quantiles(side, 3) for side in np.array(places).T],
        "place_correlation": np.corrcoef([normal_scores(side) for side in np.array(places).T])
        .round(3)
        .tolist(),
        "score": quantiles(np.array(scores), 3),
    }


def _lengths_s(each: Iterable[Iterable[int]], fps: float) -> Iterator[float]:
    """Yield how long each run of frames lasts."""
    for frames in each:
        for first, last in spells(sorted(set(frames)), max(1, round(_SPELL_GAP_S * fps))):
            yield (last - first + 1) / fps


def _merged(every: Sequence[Compared]) -> dict[str, Any]:
    """Return how often one box covers a hidden person and the one in front."""
    hidden = np.concatenate([1 - one.visible for one in every])
    merged = np.concatenate([one.merged for one in every])
    rates = []
    for low, high in itertools.pairwise(HIDDEN_EDGES):
        rows = (hidden >= low) & (hidden < high)
        rates.append(round(float(merged[rows].mean()), 4) if rows.any() else 0.0)
    lengths = []
    for one in every:
        footage = one.footage
        frames = {w: footage.true_frame[one.merged & (footage.who == w)] for w in set(footage.who)}
        lengths += list(_lengths_s(frames.values(), footage.fps))
    return {
        "hidden_from": list(HIDDEN_EDGES[:-1]),
        "rate": rates,
        "length_s": round(float(np.mean(lengths)), 3) if lengths else 0.0,
    }


def measure_ghosts(every: Sequence[tuple[Compared, Sequence[range]]]) -> dict[str, Any]:
    """Return how often, where and how long boxes appear where no one is.

    Only the given frames of each sequence count: those in which every person is labeled.
    """
    heights, aspects, scores, lengths, steps = [], [], [], [], []
    seconds, places = 0.0, 0
    for one, ranges in every:
        footage = one.footage
        inside = {frame for part in ranges for frame in part}
        seconds += len(inside) / footage.fps
        rows = [r for r, o in one.surplus.items() if o < 0 and footage.found_frame[r] in inside]
        tracks = _same_places(footage.found_xyxy, footage.found_frame, rows)
        places += len(tracks)
        for track in tracks:
            boxes = footage.found_xyxy[track]
            tall = boxes[:, 3] - boxes[:, 1]
            heights += (tall / max(footage.size)).tolist()
            aspects += ((boxes[:, 2] - boxes[:, 0]) / tall).tolist()
            scores += footage.score[track].tolist()
            steps += (np.diff(boxes, axis=0) / tall[1:, None]).ravel().tolist()
            lengths += list(_lengths_s([footage.found_frame[track].tolist()], footage.fps))
    return {
        "seconds": round(seconds, 1),
        "spells_per_s": round(len(lengths) / seconds, 4),
        "spells_per_place": round(len(lengths) / max(places, 1), 2),
        "length_s": quantiles(np.array(lengths), 3),
        "height": quantiles(np.array(heights), 3),
        "aspect": quantiles(np.array(aspects), 3),
        "score": quantiles(np.array(scores), 3),
        "jitter": round(float(np.std(steps) / np.sqrt(2)), 4),
    }


def _same_places(xyxy: Floats, frame: Ints, rows: Sequence[int]) -> list[list[int]]:
    """Return boxes grouped by place, whenever they appear."""
    places: list[list[int]] = []
    for row in sorted(rows, key=lambda r: int(frame[r])):
        near = [p for p in places if iou(xyxy[p[-1]], xyxy[row]) > _SAME_PLACE_IOU]
        if near:
            near[0].append(row)
        else:
            places.append([row])
    return places


# --- clothes ------------------------------------------------------------------------------------


def _clothes(every: Sequence[Compared]) -> dict[str, Any]:
    """Return how the descriptors of one person vary, and those of different people.

    Only boxes that fit count: what a bad box shows follows from the box.
    """
    means, deviations, sizes, size_fits, fits = [], [], [], [], []
    for one in every:
        for _, stripes in walks_in_view(one):
            means.append(stripes.mean(axis=0))
            deviations.append(stripes - stripes.mean(axis=0))
    within = np.concatenate(deviations)
    scale = within.std(axis=0)
    for one in every:
        fps = one.footage.fps
        for frame, stripes in walks_in_view(one):
            unit = (stripes - stripes.mean(axis=0)) / scale
            size = np.log(np.maximum((unit**2).mean(axis=1), 1e-3)) / 2
            sizes.append(size)
            same = np.zeros(len(frame), np.int64)
            size_fits.append((persistence(size, same, frame, fps), len(frame)))
            fits += [(persistence(column, same, frame, fps), 1) for column in unit.T]
    between = np.array(means)
    return {
        "mean": between.mean(axis=0).round(1).tolist(),
        "between": between.std(axis=0, ddof=1).round(2).tolist(),
        "between_stripes": _stripe_correlation(between - between.mean(axis=0)),
        "within": scale.round(2).tolist(),
        "within_stripes": _stripe_correlation(within),
        "size_quantiles": quantiles(np.concatenate(sizes) - np.concatenate(sizes).mean(), 3),
        "size_persistence": asdict(mean_persistence(size_fits)),
        "persistence": asdict(mean_persistence(fits)),
        "people": len(means),
    }


def walks_in_view(one: Compared) -> Iterator[tuple[Ints, Floats]]:
    """Yield frames and stripes ``(n, 18)`` of each person, where fully in view and well found."""
    footage = one.footage
    rows = np.flatnonzero(one.is_found & (one.visible >= _ALL_IN_VIEW))
    pairs = zip(footage.true_xyxy[rows], footage.found_xyxy[one.match[rows]], strict=True)
    well = np.array([iou(a, b) >= _WELL_FOUND_IOU for a, b in pairs], np.bool_)
    rows = rows[well] if len(rows) else rows
    for who in np.unique(footage.who[rows]):
        mine = rows[footage.who[rows] == who]
        stripes = footage.stripes[one.match[mine]]
        known = ~np.isnan(stripes).any(axis=1)
        if np.count_nonzero(known) >= _LEAST_WALK:
            yield footage.true_frame[mine][known], stripes[known]


def _stripe_correlation(deviations: Floats) -> list[list[float]]:
    """Return the correlation ``(6, 6)`` of stripes, the mean over the channels."""
    shaped = deviations.reshape(len(deviations), _STRIPES, _CHANNELS)
    each = [np.corrcoef(shaped[:, :, channel].T) for channel in range(_CHANNELS)]
    return np.mean(each, axis=0).round(3).tolist()  # type: ignore[no-any-return]


def figures(one: Compared) -> dict[str, float]:
    """Return a few figures in which footage and a simulation at one frame rate can be compared.

    ``miss_again`` are the rates of misses after a miss; ``stripes_change`` are quantiles of the
    mean absolute change of a person's descriptor from one frame to the next.
    """
    footage, found = one.footage, one.is_found
    clear = one.visible >= CLEAR
    rows = np.flatnonzero(found)
    pairs = zip(footage.true_xyxy[rows], footage.found_xyxy[one.match[rows]], strict=True)
    surplus = sum(owner >= 0 for owner in one.surplus.values())
    return {
        "clear_share": float(clear.mean()),
        "miss_clear": _rate(~found[clear]),
        "miss_hidden": _rate(~found[~clear]),
        "miss_again_next": _miss_again(one, 1),
        "miss_again_1s": _miss_again(one, round(footage.fps)),
        **_quantiles("iou", [iou(a, b) for a, b in pairs], (0.05, 0.25, 0.5)),
        **_quantiles("score", footage.score[one.match[rows]], (0.1, 0.5)),
        **_quantiles("stripes_change", _changes(one), (0.5, 0.9, 0.99)),
        "parts_per_box": surplus / max(len(footage.who), 1),
        "merged_share": _rate(one.merged),
    }


def _rate(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def _quantiles(name: str, values: Any, shares: Sequence[float]) -> dict[str, float]:
    told = np.quantile(values, shares) if len(values) else [float("nan")] * len(shares)
    return {f"{name}_q{share:.0%}"[:-1]: float(v) for share, v in zip(shares, told, strict=True)}


def _miss_again(one: Compared, lag: int) -> float:
    footage = one.footage
    keys = zip(footage.who.tolist(), footage.true_frame.tolist(), strict=True)
    found = dict(zip(keys, one.is_found.tolist(), strict=True))
    after = [
        found[w, f + lag] for (w, f), hit in found.items() if not hit and (w, f + lag) in found
    ]
    return _rate(~np.array(after, np.bool_))


def _changes(one: Compared) -> list[float]:
    footage = one.footage
    rows = np.flatnonzero(one.is_found)
    keys = zip(footage.who[rows].tolist(), footage.true_frame[rows].tolist(), strict=True)
    stripes = dict(zip(keys, footage.stripes[one.match[rows]], strict=True))
    steps = (
        np.abs(stripes[who, frame + 1] - mine).mean()
        for (who, frame), mine in stripes.items()
        if (who, frame + 1) in stripes
    )
    return [float(step) for step in steps if not np.isnan(step)]
