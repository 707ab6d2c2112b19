"""Accuracy of the platform on labeled recordings: ``measure(footage, view, fps)``.

Ingestor, worker, resolver and insight engine run as wiring builds them, with the settings of a live
camera; scored is what they publish. Stock trackers get the very same detections.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Any

from trinetra.benchmarks.stock_trackers import BIRTH_SCORE, track
from trinetra.evaluation.boxes import Boxes, no_boxes
from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.intervals import Interval
from trinetra.evaluation.reading import Gathered
from trinetra.evaluation.real import (
    Recorded,
    compared,
    count_scores,
    detection_scores,
    read_labels,
    track_scores,
)
from trinetra.evaluation.scores import Score
from trinetra.evaluation.truth import Findings
from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.values import Role
from trinetra.wiring.real_footage import (
    BY_ROLE,
    CAMERA,
    START_US,
    Footage,
    RateRun,
    resolve,
)

RATES = (BY_ROLE, 5.0, 10.0, 25.0)
COUNTED_RATES = (BY_ROLE, 5.0, 10.0)
"""Rates of recordings without labels: they are long, and no role goes beyond 10 by itself."""
OURS = "trinetra"
ALL = "all labeled views"
ROLE = Role.ENTRANCE
"""Role of the camera in all recordings: its detector sees people, and faces are read."""
MIN_DWELL_S = 2.0
_SHARES = ("hota", "idf1", "mota")
_CHECKED = (
    *((name, "") for name in ("average_precision", *_SHARES)),
    ("f1", "crossings"),
    ("f1", "stays"),
)
_LEAST_NOISE = 0.01
_STANDARD_ERRORS = 2.26
"""Half the width of an interval, in standard errors (Student's t with 9 degrees of freedom)."""


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one tracker on one recording at one frame rate, or BY_ROLE."""

    view: str
    scene: str
    fps: float
    tracker: str
    scores: tuple[Score, ...]

    @property
    def key(self) -> tuple[str, float, str]:
        """Recording, rate and tracker: unique in a table."""
        return self.view, self.fps, self.tracker

    def score(self, name: str, of: str = "") -> Score | None:
        """Return a score, or None if there is none of that name."""
        return next((s for s in self.scores if (s.name, s.of) == (name, of)), None)

    def value(self, name: str, of: str = "") -> float | None:
        """Return the value of a score, or None if it was not measured."""
        score = self.score(name, of)
        return None if score is None else score.value

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        head = {"view": self.view, "scene": self.scene, "fps": self.fps, "tracker": self.tracker}
        return head | {"scores": [score.as_json() for score in self.scores]}

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "Row":
        """Return a row of ``as_json``. Raises KeyError or TypeError."""
        view, scene, fps, tracker = (document[n] for n in ("view", "scene", "fps", "tracker"))
        return cls(view, scene, fps, tracker, tuple(map(Score.of_json, document["scores"])))


def measure(
    footage: Footage,
    view: LabeledView,
    fps: float,
    stock: Sequence[str] = (),
    *,
    intervals: bool = True,
) -> list[Row]:
    """Return the scores of our tracker, and of stock trackers, on one recording."""
    run = footage.run(view, fps, ROLE)
    return score_run(run, findings(footage, run), stock, intervals=intervals)


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
    labels = read_labels(recorded)
    detections = found.detections.get(CAMERA, no_boxes())
    scores: list[Score] = []
    if labels is not None:
        seen = compared(recorded, labels, detections)
        tracked = compared(recorded, labels, found.tracks.get(CAMERA, no_boxes()))
        scores += detection_scores(seen, BIRTH_SCORE, intervals=intervals)
        scores += track_scores(tracked, intervals=intervals)
    scores += count_scores(recorded, labels, found, CAMERA, MIN_DWELL_S)
    rows = [_row(run, OURS, scores)]
    if labels is not None:
        for name in stock:
            tracks = track(name, detections, run.fps or _mean_rate(detections))
            of_stock = track_scores(compared(recorded, labels, tracks), intervals=intervals)
            rows.append(_row(run, name, of_stock))
    return rows


def _mean_rate(boxes: Boxes) -> float:
    """Return the mean frame rate of what was processed."""
    frames_us = boxes.frames_us
    spans = len(frames_us) - 1
    return spans * 1e6 / float(frames_us[-1] - frames_us[0]) if spans > 0 else 1.0


def means(rows: Iterable[Row]) -> list[Row]:
    """Return the means over all labeled recordings, by rate and tracker."""
    groups: dict[tuple[float, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.value("hota") is not None:
            groups[row.fps, row.tracker].append(row)
    return [
        Row(ALL, "", fps, tracker, tuple(_mean(name, group) for name in _SHARES))
        for (fps, tracker), group in groups.items()
    ]


def _mean(name: str, rows: Sequence[Row]) -> Score:
    """Return the mean of a score over recordings, whose errors are independent."""
    scores = [score for row in rows if (score := row.score(name)) is not None]
    values = [score.value for score in scores if score.value is not None]
    value = fmean(values)
    reaches = [reach_of(score) for score in scores]
    known = [reach for reach in reaches if reach is not None]
    interval = None
    if len(known) == len(scores):
        reach = sqrt(sum(reach**2 for reach in known)) / len(known)
        interval = Interval(value - reach, value + reach)
    return Score(name=name, value=value, interval=interval, n=len(values))


def reach_of(score: Score) -> float | None:
    """Return half the width of a score's interval."""
    if score.interval is None:
        return None
    return (score.interval.high - score.interval.low) / 2


def noise_of(score: Score) -> float:
    """Return how much a score may fall by chance: one standard error, or one event of a count."""
    if (reach := reach_of(score)) is not None:
        return max(_LEAST_NOISE, reach / _STANDARD_ERRORS)
    events = (score.truth or 0) + (score.found or 0)
    return max(_LEAST_NOISE, 2 / events if events else 0.0)


def shortfalls(measured: Iterable[Row], baseline: Iterable[Row]) -> list[str]:
    """Return a message for every score of ours that fell by more than its noise.

    The means over recordings are compared too: they reveal what is noise in each alone.
    """
    now = {row.key: row for row in measured if row.tracker == OURS}
    before = {row.key: row for row in baseline if row.key in now}
    now |= {row.key: row for row in means(now[key] for key in before)}
    before |= {row.key: row for row in means(before.values())}
    return [message for key, row in before.items() for message in _fallen(row, now[key])]


def _fallen(before: Row, now: Row) -> Iterator[str]:
    for name, of in _CHECKED:
        was, is_now = before.score(name, of), now.value(name, of)
        if was is None or was.value is None:
            continue
        noise = noise_of(was)
        if is_now is None or was.value - is_now > noise:
            shown = "not measured" if is_now is None else f"{is_now:.4f}"
            yield (
                f"{name} {of}".strip() + f" of {now.view} at {rate_name(now.fps)} is {shown}, "
                f"was {was.value:.4f} (noise {noise:.4f})"
            )


def rate_name(fps: float) -> str:
    """Return a frame rate in words."""
    return f"{fps:g} fps" if fps else "the rates of the role"


def usual(views: Iterable[LabeledView]) -> list[tuple[LabeledView, float]]:
    """Return the recordings with the rates at which they are measured unless others are named."""
    return [
        (view, fps) for view in views for fps in (COUNTED_RATES if view.labels is None else RATES)
    ]


def checked(views: Iterable[LabeledView]) -> Iterator[tuple[LabeledView, float]]:
    """Yield the recordings and rates that a check measures: 5 fps, and 10 where there are labels.

    These are the rates of the roles; more would take minutes.
    """
    for view in views:
        yield view, 5.0
        if view.labels is not None:
            yield view, 10.0


def _row(run: RateRun, tracker: str, scores: Sequence[Score]) -> Row:
    return Row(run.view.name, run.view.scene, run.fps, tracker, tuple(scores))


def _recorded(run: RateRun) -> Recorded:
    first = next((decode(payload) for _, payload in run.events()), None)
    width, height = (
        (first.frame_width, first.frame_height) if isinstance(first, DetectionEvent) else (0, 0)
    )
    return Recorded(run.view, START_US, run.frames_us, width, height)
