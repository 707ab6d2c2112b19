"""Scores what the platform made of a labeled or counted recording of one camera."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trinetra.evaluation.boxes import Boxes, Floats, Ints, no_boxes
from trinetra.evaluation.clip import agreement
from trinetra.evaluation.comparison import Comparison, compare
from trinetra.evaluation.detection import average_precision, match
from trinetra.evaluation.figures import match_instants, match_stays
from trinetra.evaluation.footage import LabeledView, Rect
from trinetra.evaluation.intervals import Interval, jackknife
from trinetra.evaluation.label_counts import counted_in_labels
from trinetra.evaluation.reading import read_truth
from trinetra.evaluation.scores import Score, share
from trinetra.evaluation.tracking import clear, hota, identity_f1
from trinetra.evaluation.truth import ONLY_CAMERA, Facts, Findings

MIN_IOU = 0.5
_NOMINAL_FPS = 25.0
"""Rate at which labels without one are read; only their frame numbers are used."""
_EXACT_US = 1000
_BLOCKS = 10
_BORDER_SHARE = 0.01
"""A box this close to the border of the picture, as a share of its width, is cut off by it."""
_INSIDE = 0.5
"""Share of a box that lies in an ignored rectangle from which on the box does."""
_CROSSING_TOLERANCE_US = 1_000_000
"""The hand counts are given to within 0.4 s, and frames may be 0.2 s apart."""

_Statistics = Mapping[str, Callable[[Comparison], float | None]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording as the platform saw it: its frames on the platform's clock, and its size."""

    view: LabeledView
    start_us: int
    frames_us: tuple[int, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a recording, and boxes at which findings are neither right nor wrong."""

    boxes: Boxes
    excused: Boxes


def read_labels(recorded: Recorded) -> Labels | None:
    """Return the labels at the times of the recording's frames; None if there are none.

    Labels beyond the end of the recording are left out. Raises ConfigurationError.
    """
    view = recorded.view
    if view.labels is None:
        return None
    fps = view.fps or _NOMINAL_FPS
    truth = read_truth(view.labels, fps=fps)
    times_us = np.array(recorded.frames_us, np.int64) + recorded.start_us
    excused = truth.excused.get(ONLY_CAMERA, no_boxes())
    return Labels(_timed(truth.boxes[ONLY_CAMERA], fps, times_us), _timed(excused, fps, times_us))


def _timed(boxes: Boxes, fps: float, times_us: Ints) -> Boxes:
    """Return labels at the times of the frames that they number."""
    kept = boxes.where(_frame_of(boxes.at_us, fps) < len(times_us))
    frames = _frame_of(boxes.frames_us, fps)
    return replace(
        kept,
        at_us=times_us[_frame_of(kept.at_us, fps)],
        frames_us=times_us[frames[frames < len(times_us)]],
    )


def _frame_of(at_us: Ints, fps: float) -> Ints:
    return np.asarray(np.rint(at_us * fps / 1e6), np.int64)


def compared(recorded: Recorded, labels: Labels, found: Boxes) -> Comparison:
    """Align labels and findings, without what the labels do not cover."""
    whole = compare([(labels.boxes, found)], tolerance_us=_EXACT_US)
    view, size = recorded.view, (recorded.width, recorded.height)
    true_kept = ~_ignored(whole.truth.xyxy, view.ignored, size)
    excused = _ignored(whole.found.xyxy, view.ignored, size)
    excused |= _at_excused(labels, found)
    if view.ignores_cut_off:
        excused |= _cut_off(whole.found.xyxy, size)
    pairs = whole.pairs
    near = (pairs.iou >= MIN_IOU) & true_kept[pairs.truth]
    return whole.where(true_kept, _is_paired(whole, near) | ~excused)


def _at_excused(labels: Labels, found: Boxes) -> NDArray[np.bool_]:
    """Return which found boxes overlap an excused box of their frame."""
    excused = labels.excused.with_frames(labels.boxes.frames_us)
    distractors = compare([(excused, found)], tolerance_us=_EXACT_US)
    return _is_paired(distractors, distractors.pairs.iou >= MIN_IOU)


def _is_paired(comparison: Comparison, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = comparison.pairs.found[near]
    return np.asarray(np.bincount(found, minlength=len(comparison.found)) > 0)


def _ignored(xyxy: Floats, ignored: tuple[Rect, ...], size: tuple[int, int]) -> NDArray[np.bool_]:
    inside = np.zeros(len(xyxy), np.bool_)
    area = np.prod(np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1e-9), axis=1)
    for rect in ignored:
        edges = np.array(rect) * (*size, *size)
        sides = np.minimum(xyxy[:, 2:], edges[2:]) - np.maximum(xyxy[:, :2], edges[:2])
        inside |= np.prod(np.maximum(sides, 0.0), axis=1) >= _INSIDE * area
    return inside


def _cut_off(xyxy: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    width, height = size
    margin = _BORDER_SHARE * width
    low, high = xyxy[:, :2] <= margin, xyxy[:, 2:] >= np.array([width, height]) - margin
    return np.asarray(low[:, 0] | high[:, 0] | high[:, 1] | low[:, 1])


def detection_scores(
    comparison: Comparison, min_score: float, *, intervals: bool = True
) -> list[Score]:
    """Return average precision, and recall and precision of boxes of at least ``min_score``."""
    statistics: _Statistics = {
        "average_precision": _average_precision,
        "recall": lambda c: _recall(c, min_score),
        "precision": lambda c: _precision(c, min_score),
    }
    return _measured(comparison, statistics, intervals=intervals)


def track_scores(comparison: Comparison, *, intervals: bool = True) -> list[Score]:
    """Return HOTA, IDF1 and MOTA, and the counts of errors behind them."""
    plain = clear(comparison, MIN_IOU)
    statistics: _Statistics = {
        "hota": lambda c: hota(c).hota,
        "idf1": lambda c: identity_f1(c, MIN_IOU).idf1,
        "mota": lambda c: clear(c, MIN_IOU).mota,
    }
    shares = _measured(comparison, statistics, intervals=intervals)
    counts = {
        "id_switches": plain.id_switches,
        "fragmentations": plain.fragmentations,
        "missed": plain.fn,
        "false": plain.fp,
    }
    boxes = len(comparison.truth)
    return shares + [Score(name=name, value=float(n), n=boxes) for name, n in counts.items()]


def _average_precision(comparison: Comparison) -> float | None:
    hit = match(comparison, MIN_IOU)
    return average_precision(hit, comparison.found.score, len(comparison.truth))


def _recall(comparison: Comparison, min_score: float) -> float | None:
    hit = match(comparison, MIN_IOU) & (comparison.found.score >= min_score)
    return share(int(hit.sum()), len(comparison.truth))


def _precision(comparison: Comparison, min_score: float) -> float | None:
    strong = comparison.found.score >= min_score
    return share(int((match(comparison, MIN_IOU) & strong).sum()), int(strong.sum()))


def _measured(comparison: Comparison, statistics: _Statistics, *, intervals: bool) -> list[Score]:
    """Return statistics, if wanted with intervals by the jackknife over ten spans of time."""
    without = list(_without_blocks(comparison)) if intervals else []
    return [
        Score(
            name=name,
            value=(value := statistic(comparison)),
            interval=_interval(value, [statistic(part) for part in without]),
            n=len(comparison.truth),
        )
        for name, statistic in statistics.items()
    ]


def _without_blocks(comparison: Comparison) -> Iterator[Comparison]:
    edges = np.linspace(0, comparison.frames, _BLOCKS + 1).round()
    for low, high in pairwise(edges):
        sides = (comparison.truth.frame, comparison.found.frame)
        truth, found = ((frame < low) | (frame >= high) for frame in sides)
        yield comparison.where(truth, found)


def _interval(value: float | None, without: list[float | None]) -> Interval | None:
    parts = np.array([part for part in without if part is not None])
    return None if value is None or len(parts) < _BLOCKS else jackknife(value, parts)


def count_scores(
    recorded: Recorded,
    labels: Labels | None,
    found: Findings,
    camera: str,
    min_dwell_s: float,
) -> list[Score]:
    """Return how people, crossings and stays agree with the counts, as far as there are any.

    For a line or zone without hand counts, the labels are counted.

    A crossing matches one within a second of it, in the same direction; a stay one that overlaps
    it in time.
    """
    view = recorded.view
    tracks = _covered(recorded, found.tracks.get(camera, no_boxes()))
    scores = list(_presence_scores(view, tracks, recorded.start_us))
    if (counts := view.counts) is not None:
        if labels is not None:
            size = (recorded.width, recorded.height)
            counts = counted_in_labels(counts, labels.boxes, size, recorded.start_us)
        true = counts.facts(recorded.start_us, min_dwell_s)
        scores += _crossing_scores(true, found.facts, counts.counted_lines)
        scores += _stay_scores(true, found.facts, counts.counted_zones)
    if view.identifiable is not None:
        named = len({d.customer for d in found.decisions if d.customer is not None})
        false = float(max(0, named - view.identifiable))
        scores.append(Score(name="false_identities", value=false, found=named))
    return scores


def _covered(recorded: Recorded, found: Boxes) -> Boxes:
    """Return the tracks that lie mostly outside of the ignored rectangles."""
    ignored = _ignored(found.xyxy, recorded.view.ignored, (recorded.width, recorded.height))
    names = len(found.names)
    inside = np.bincount(found.name[ignored], minlength=names)
    boxes = np.bincount(found.name, minlength=names)
    return found.where((inside * 2 < boxes)[found.name])


def _presence_scores(view: LabeledView, tracks: Boxes, start_us: int) -> Iterator[Score]:
    if view.counts is not None and view.counts.people is not None:
        least, most = view.counts.people
        followed = len(np.unique(tracks.name))
        yield agreement("people", min(max(followed, least), most), followed)
    if view.empty_us:
        in_empty = np.zeros(len(tracks), np.bool_)
        for begin, end in view.empty_us:
            since_us = tracks.at_us - start_us
            in_empty |= (since_us >= begin) & (since_us < end)
        ghosts = len(np.unique(tracks.name[in_empty]))
        yield Score(name="tracks_while_empty", value=float(ghosts), truth=0.0, found=ghosts)


def _crossing_scores(true: Facts, found: Facts, lines: Collection[str]) -> Iterator[Score]:
    if true.crossings is None:
        return
    theirs = [c for c in found.crossings or () if c.line in lines]
    hits = 0
    for line, direction in {(c.line, c.direction) for c in true.crossings}:
        there, here = (
            [c.at_us for c in side if (c.line, c.direction) == (line, direction)]
            for side in (true.crossings, theirs)
        )
        hits += match_instants(there, here, _CROSSING_TOLERANCE_US)
    yield _matched("crossings", hits, len(true.crossings), len(theirs))


def _stay_scores(true: Facts, found: Facts, zones: Collection[str]) -> Iterator[Score]:
    if true.stays is None:
        return
    theirs = [s._replace(camera=ONLY_CAMERA) for s in found.stays or () if s.zone in zones]
    pairs = match_stays(true.stays, theirs)
    yield _matched("stays", len(pairs), len(true.stays), len(theirs))
    errors_s = [there.dwell_s - here.dwell_s for here, there in pairs]
    if errors_s:
        value = float(np.median(errors_s))
        yield Score(name="dwell_error", of="stays", value=value, unit="s", n=len(pairs))


def _matched(of: str, hits: int, counted: int, found: int) -> Score:
    """Return the F1 of counted and found events; 1 if there are none of either."""
    events = counted + found
    return Score(
        name="f1",
        of=of,
        value=2 * hits / events if events else 1.0,
        truth=counted,
        found=found,
        n=hits,
        note="n is the number of matches",
    )
