"""Builds score sheets from a ground truth and the events of a run, kind by kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import Boxes, Ints, no_boxes
from trinetra.evaluation.comparison import Comparison, compare
from trinetra.evaluation.detection import score_detections
from trinetra.evaluation.faces import faces_shown, named_by_camera
from trinetra.evaluation.identity import Placed, Walks, score_identities
from trinetra.evaluation.insights import OF_THE_SITE, score_insights
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.evaluation.tracking import score_tracks
from trinetra.evaluation.truth import ONLY_CAMERA, Facts, Findings, Truth

_EXACT_US = 1000
"""Maximum time difference of the same dated frame: clocks may round to 1 ms."""

_CUT_US = 2_000_000
"""A party that was last seen within this time of the end of a recording had not left."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Selection and strictness of a comparison.

    camera: compare only this one; a truth that names no camera is about this one.
    start_us: start of the recording, for a truth without dates; by default the first frame
        that was processed.
    min_dwell_s: shorter stays are not counted as missed; a site file lets its zones ignore them.
    """

    camera: str | None = None
    start_us: int | None = None
    min_iou: float = 0.5
    min_score: float = 0.0
    seed: int = 0
    min_dwell_s: float = 0.0


def detections_sheet(truth: Truth, findings: Findings, choices: Choices) -> ScoreSheet:
    """Return detection scores in single frames, over all chosen cameras."""
    placed = place(truth, findings.detections, choices)
    comparison = _compared(placed, truth)
    sheet = score_detections(
        comparison, min_iou=choices.min_iou, min_score=choices.min_score, seed=choices.seed
    )
    return _with_basis(sheet, placed, comparison)


def tracks_sheet(truth: Truth, findings: Findings, choices: Choices) -> ScoreSheet:
    """Return tracking scores, over all chosen cameras and on each."""
    walks = truth if truth.walks is None else replace(truth, boxes=truth.walks)
    placed = place(walks, findings.tracks, choices)
    comparison = _compared(placed, truth)
    scores = score_tracks(comparison, min_iou=choices.min_iou)
    if len(placed) > 1:
        scores += _tracks_per_camera(placed, truth, choices)
    sheet = ScoreSheet("tracks", tuple(scores), {"min_iou": choices.min_iou})
    return _with_basis(sheet, placed, comparison)


def identities_sheet(truth: Truth, findings: Findings, choices: Choices) -> ScoreSheet:
    """Return identity scores over the chosen cameras."""
    placed = place(truth, findings.tracks, choices)
    comparison = _compared(placed, truth)
    decisions = [d for d in findings.decisions if d.camera in placed]
    visits = truth.facts.visits if choices.camera is None else None
    walks = truth if truth.walks is None else replace(truth, boxes=truth.walks)
    walked = {
        camera: named_by_camera(camera, boxes)
        for camera, (boxes, _) in place(walks, findings.tracks, choices).items()
    }
    shown = truth.shown
    if shown is None:
        faces = [(boxes, findings.faces[c]) for c, boxes in walked.items() if c in findings.faces]
        shown = faces_shown(faces, tolerance_us=_tolerance_us(truth))
    sheet = score_identities(
        placed,
        decisions,
        walks=Walks(walked, shown),
        visits=visits,
        tolerance_us=_tolerance_us(truth),
        min_iou=choices.min_iou,
    )
    return _with_basis(sheet, placed, comparison)


def insights_sheet(truth: Truth, findings: Findings, choices: Choices) -> ScoreSheet:
    """Return the errors of the insight figures.

    Raises ConfigurationError for a truth that contains only boxes.
    """
    facts = _long_enough(truth.facts, choices.min_dwell_s)
    if facts == Facts():
        raise ConfigurationError(
            "this ground truth contains only boxes: insights need crossings, stays or visits, "
            "such as the digital twin writes"
        )
    if choices.camera is None:
        over = _ended(findings.facts, truth.windows_us)
        return score_insights(facts, over, seed=choices.seed)
    mine, theirs = (of_camera(side, choices.camera) for side in (facts, findings.facts))
    sheet = score_insights(mine, theirs, seed=choices.seed)
    return replace(sheet, scores=tuple(s for s in sheet.scores if s.name not in OF_THE_SITE))


def _long_enough(facts: Facts, min_dwell_s: float) -> Facts:
    if facts.stays is None:
        return facts
    return replace(facts, stays=tuple(s for s in facts.stays if s.dwell_s >= min_dwell_s))


def _ended(facts: Facts, windows_us: Sequence[tuple[int, int]]) -> Facts:
    """Return the facts without those about parties that were at the tills when a recording ended.

    The truth does not contain them either: their end was not recorded.
    """
    if facts.waits is None:
        return facts
    cut = [(until - _CUT_US, until + _CUT_US) for _, until in windows_us]
    ended = (
        wait
        for wait in facts.waits
        if wait.left_us is None or not any(a <= wait.left_us <= b for a, b in cut)
    )
    return replace(facts, waits=tuple(ended))


def of_camera(facts: Facts, camera: str) -> Facts:
    """Return the facts of one camera; visits, waits and purchases belong to the site."""
    crossings, stays = facts.crossings, facts.stays
    return Facts(
        crossings=None if crossings is None else tuple(c for c in crossings if c.camera == camera),
        stays=None if stays is None else tuple(s for s in stays if s.camera == camera),
    )


def place(truth: Truth, found: Mapping[str, Boxes], choices: Choices) -> Placed:
    """Return truth and findings of each compared camera, on one clock.

    Raises ConfigurationError if it is not clear which camera a truth is about, or if neither truth
    nor findings contain that camera.
    """
    if ONLY_CAMERA in truth.boxes:
        camera = _meant(found, choices.camera)
        true_boxes = truth.boxes[ONLY_CAMERA]
        if not truth.is_dated:
            true_boxes = true_boxes.shifted(_start_us(found[camera], camera, choices.start_us))
        return {camera: (true_boxes, found[camera])}
    cameras = [c for c in truth.boxes if choices.camera in {None, c}]
    if not cameras:
        raise ConfigurationError(
            f"the ground truth has no camera {choices.camera}; it has {_listed(truth.boxes)}"
        )
    pairs = {camera: (truth.boxes[camera], found.get(camera, no_boxes())) for camera in cameras}
    return {
        camera: (true_boxes.with_frames(_within(there.frames_us, truth.windows_us)), there)
        for camera, (true_boxes, there) in pairs.items()
    }


def _within(frames_us: Ints, windows_us: Iterable[tuple[int, int]]) -> Ints:
    parts = [frames_us[(frames_us >= a) & (frames_us <= b)] for a, b in windows_us]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _compared(placed: Placed, truth: Truth) -> Comparison:
    comparison = compare(list(placed.values()), tolerance_us=_tolerance_us(truth))
    if not comparison.frames:
        raise ConfigurationError(
            f"no frame of {_listed(placed)} is both in the truth and in the events: check that "
            "both are of the same recording, and check --camera, --fps and --start"
        )
    return comparison


def _tolerance_us(truth: Truth) -> int:
    return _EXACT_US if truth.frame_us is None else truth.frame_us // 2


def _tracks_per_camera(placed: Placed, truth: Truth, choices: Choices) -> list[Score]:
    scores: list[Score] = []
    for camera, boxes in placed.items():
        alone = compare([boxes], tolerance_us=_tolerance_us(truth))
        scores += score_tracks(alone, of=camera, min_iou=choices.min_iou)
    return scores


def _meant(found: Mapping[str, Boxes], camera: str | None) -> str:
    if camera is None and len(found) == 1:
        return next(iter(found))
    if camera is None or camera not in found:
        raise ConfigurationError(
            f"choose with --camera the camera of the ground truth; the events have {_listed(found)}"
        )
    return camera


def _start_us(found: Boxes, camera: str, start_us: int | None) -> int:
    if start_us is not None:
        return start_us
    if not len(found.frames_us):
        raise ConfigurationError(f"the events have no frame of camera {camera}; check the file")
    return int(found.frames_us[0])


def _with_basis(sheet: ScoreSheet, placed: Placed, comparison: Comparison) -> ScoreSheet:
    basis = {
        "cameras": sorted(placed),
        "frames": comparison.frames,
        "unseen_frames": comparison.unseen_frames,
        "true_boxes": len(comparison.truth),
        "found_boxes": len(comparison.found),
        **sheet.basis,
    }
    return ScoreSheet(sheet.kind, sheet.scores, basis)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no camera"
