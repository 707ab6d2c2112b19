"""Accuracy of the platform on labeled recordings: ``measure(footage, view, fps)``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from trinetra.benchmarks.stock_trackers import track
from trinetra.evaluation.boxes import Boxes, no_boxes
from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.reading import Gathered
from trinetra.evaluation.real import (
    Recorded,
    compared,
    count_scores,
    covered,
    detection_scores,
    track_scores,
    true_boxes,
)
from trinetra.evaluation.scores import Score
from trinetra.evaluation.truth import Findings
from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.values import Role
from trinetra.wiring.footage import CAMERA, START_US, Footage, RateRun, resolve

RATES = (5.0, 10.0, 25.0)
OURS = "trinetra"
ROLE = Role.ENTRANCE
BIRTH_SCORE = 0.45
MIN_DWELL_S = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one tracker on one recording at one frame rate."""

    view: str
    scene: str
    fps: float
    tracker: str
    scores: tuple[Score, ...]

    def value(self, name: str, of: str = "") -> float | None:
        """Return a score, or None if it was not measured."""
        for score in self.scores:
            if (score.name, score.of) == (name, of):
                return score.value
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        head = {"view": self.view, "scene": self.scene, "fps": self.fps, "tracker": self.tracker}
        return head | {"scores": [score.as_json() for score in self.scores]}


def measure(
    footage: Footage, view: LabeledView, fps: float, stock: Sequence[str] = ()
) -> list[Row]:
    """Return the scores of our tracker and of stock trackers on one recording."""
    run = footage.run(view, fps, ROLE)
    return score_run(run, findings(footage, run), stock)


def findings(footage: Footage, run: RateRun) -> Findings:
    """Return what resolver and insight engine find in a recording's detections."""
    found = Gathered()
    for _, payload in run.events():
        found.add(decode(payload))
    resolve(footage.inputs(run), run, lambda payload: found.add(decode(payload)))
    return found.findings()


def score_run(
    run: RateRun, found: Findings, stock: Iterable[str] = (), *, intervals: bool = True
) -> list[Row]:
    """Return a row for our tracker and for each stock tracker."""
    recorded = _recorded(run)
    truth = true_boxes(recorded)
    detections = found.detections.get(CAMERA, no_boxes())
    tracks = found.tracks.get(CAMERA, no_boxes())
    scores: list[Score] = []
    if truth is not None:
        seen = compared(recorded, truth, detections)
        scores += detection_scores(seen, BIRTH_SCORE, intervals=intervals)
        scores += track_scores(compared(recorded, truth, tracks), intervals=intervals)
    scores += count_scores(recorded, covered(recorded, tracks), found.facts, MIN_DWELL_S)
    rows = [_row(run, OURS, scores)]
    if truth is not None:
        rows += [_stock_row(run, recorded, truth, detections, name) for name in stock]
    return rows


def _stock_row(run: RateRun, recorded: Recorded, truth: Boxes, detections: Boxes, name: str) -> Row:
    tracks = track(name, detections, run.fps)
    return _row(run, name, track_scores(compared(recorded, truth, tracks)))


def _row(run: RateRun, tracker: str, scores: Sequence[Score]) -> Row:
    return Row(run.view.name, run.view.scene, run.fps, tracker, tuple(scores))


def _recorded(run: RateRun) -> Recorded:
    first = next((decode(payload) for _, payload in run.events()), None)
    width, height = (
        (first.frame_width, first.frame_height) if isinstance(first, DetectionEvent) else (0, 0)
    )
    return Recorded(run.view, START_US, run.frames_us, width, height)
