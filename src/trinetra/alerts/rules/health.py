"""Rules about the health of cameras and services, from the values of their metrics."""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from trinetra.alerts.rules.conditions import Conditions, Holding, compare, without_obsolete
from trinetra.alerts.rules.plan import AlertPlan, RulePlan
from trinetra.alerts.rules.reported import INDEX
from trinetra.alerts.rules.signal import Facts, Signal
from trinetra.events.alerts import NoticeKey, RuleName
from trinetra.values import CameraId, Instant, seconds_between

CAMERA_STATE = "trinetra_camera_state"
CAMERA_PICTURE = "trinetra_camera_picture"
SAMPLED = "trinetra_frames_sampled_total"
DROPPED = "trinetra_frames_dropped_total"
RESULT_AGE = "trinetra_identity_age_seconds_bucket"
INDEX_UP = "trinetra_gallery_up"
NAMES = frozenset({CAMERA_STATE, CAMERA_PICTURE, SAMPLED, DROPPED, RESULT_AGE, INDEX_UP})
"""The metrics that the rules read."""
_WORKING = frozenset({"streaming", "ended"})
_PICTURE_RULES: Mapping[str, RuleName] = {
    "frozen": "camera_frozen",
    "covered": "camera_covered",
    "moved": "camera_moved",
}
_LEAST_FRAMES = 50
"""A share of fewer pictures than this tells nothing."""
_LEAST_RESULTS = 50
_P99 = 0.99


class Value(Protocol):
    """One value of a metric."""

    @property
    def name(self) -> str:
        """Name of the metric."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the value."""

    @property
    def value(self) -> float:
        """The value."""


class _Found(NamedTuple):
    key: NoticeKey
    is_so: bool
    camera_id: CameraId | None
    facts: Facts


@dataclass(slots=True)
class _Window:
    """The totals of counters over the last while, oldest first."""

    totals: deque[tuple[Instant, dict[str, float]]] = field(default_factory=deque)

    def grown(self, at: Instant, totals: dict[str, float], span_s: float) -> dict[str, float]:
        """Take totals in; return by how much each has grown over the span.

        A total that has shrunk belongs to a service that was restarted: the window starts anew.
        """
        if self.totals and any(totals.get(k, 0.0) < v for k, v in self.totals[-1][1].items()):
            self.totals.clear()
        self.totals.append((at, totals))
        while len(self.totals) > 1 and seconds_between(self.totals[1][0], at) >= span_s:
            self.totals.popleft()
        first = self.totals[0][1]
        return {key: total - first.get(key, 0.0) for key, total in totals.items()}


@dataclass(slots=True)
class HealthRules:
    """The rules applied to one reading of all metrics after another."""

    plan: AlertPlan
    _conditions: Conditions = field(default_factory=dict)
    _looked_at: set[str] = field(default_factory=set)
    _frames: dict[str, _Window] = field(default_factory=lambda: defaultdict(_Window))
    _results: _Window = field(default_factory=_Window)

    def read(self, at: Instant, values: Sequence[Value]) -> list[Signal]:
        """Return which conditions are to be told at an instant, or are over."""
        by_name: dict[str, list[Value]] = defaultdict(list)
        for value in values:
            by_name[value.name].append(value)
        possible: dict[NoticeKey, CameraId | None] = {}
        holding: dict[NoticeKey, Holding] = {}
        for found in self._all(at, by_name):
            plan = self.plan.rules.get(found.key.rule)
            if plan is None:
                continue
            possible[found.key] = found.camera_id
            if found.is_so:
                for_s = 0.0 if found.key.rule in _WINDOWED else plan.for_s
                holding[found.key] = Holding(for_s, found.facts, found.camera_id)
        return compare(self._conditions, holding, possible, at, self._is_first)

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from the next reading on."""
        self.plan = plan
        self._conditions = without_obsolete(self._conditions, plan)

    def _is_first(self, text: str) -> bool:
        is_first = text not in self._looked_at
        self._looked_at.add(text)
        return is_first

    def _all(self, at: Instant, by_name: Mapping[str, Sequence[Value]]) -> Iterator[_Found]:
        yield from _offline(by_name[CAMERA_STATE])
        yield from _pictures(by_name[CAMERA_PICTURE])
        yield from _index(by_name[INDEX_UP])
        if plan := self.plan.rules.get("frames_dropped"):
            yield from self._dropped(at, by_name, plan)
        if plan := self.plan.rules.get("latency"):
            yield from self._late(at, by_name[RESULT_AGE], plan)

    def _dropped(
        self, at: Instant, by_name: Mapping[str, Sequence[Value]], plan: RulePlan
    ) -> Iterator[_Found]:
        totals: dict[str, dict[str, float]] = defaultdict(lambda: {SAMPLED: 0.0, DROPPED: 0.0})
        for value in (*by_name[SAMPLED], *by_name[DROPPED]):
            totals[value.labels.get("camera", "")][value.name] += value.value
        for camera, of_camera in totals.items():
            grown = self._frames[camera].grown(at, of_camera, plan.for_s)
            frames = grown[SAMPLED] + grown[DROPPED]
            share = grown[DROPPED] / frames if frames else 0.0
            is_so = frames >= _LEAST_FRAMES and share >= plan.limit
            yield _of_camera("frames_dropped", camera, is_so, share=share, limit=plan.limit)

    def _late(self, at: Instant, buckets: Iterable[Value], plan: RulePlan) -> Iterator[_Found]:
        totals: dict[str, float] = defaultdict(float)
        for value in buckets:
            totals[value.labels.get("le", "")] += value.value
        if not totals or not self.plan.live:
            return  # results of recordings come as early or late as these are played
        p99_s = _quantile(self._results.grown(at, totals, plan.for_s))
        is_so = p99_s is not None and p99_s > plan.limit
        facts = {"p99_s": p99_s or 0.0, "limit": plan.limit}
        yield _Found(NoticeKey("latency", "results"), is_so, None, facts)


_WINDOWED: frozenset[RuleName] = frozenset({"frames_dropped", "latency"})
"""Rules whose time is the window that they count in."""


def _offline(states: Iterable[Value]) -> Iterator[_Found]:
    """Yield the state of each camera; the best one where several ingestors stand by for it."""
    current: dict[str, set[str]] = defaultdict(set)
    for value in states:
        if value.value:
            current[value.labels.get("camera", "")].add(value.labels.get("state", ""))
    for camera, names in current.items():
        is_so = not names & _WORKING
        yield _of_camera("camera_offline", camera, is_so, state=min(names))


def _pictures(problems: Iterable[Value]) -> Iterator[_Found]:
    for value in problems:
        if rule := _PICTURE_RULES.get(value.labels.get("problem", "")):
            yield _of_camera(rule, value.labels.get("camera", ""), bool(value.value))


def _index(up: Iterable[Value]) -> Iterator[_Found]:
    """Yield whether the index answers; NaN means that nothing asks it."""
    answers = [value.value for value in up if not math.isnan(value.value)]
    if answers:
        yield _Found(NoticeKey("index_unavailable", INDEX), min(answers) == 0, None, {})


def _of_camera(rule: RuleName, camera: str, is_so: bool, **facts: float | str) -> _Found:  # noqa: FBT001 - it is the value
    return _Found(NoticeKey(rule, camera), is_so, CameraId(camera), {"camera": camera, **facts})


def _quantile(grown: Mapping[str, float]) -> float | None:
    """Return the upper edge of the bucket of the 99th percentile; None with too few results."""
    edges = sorted((float(edge), count) for edge, count in grown.items())
    total = edges[-1][1] if edges else 0.0
    if total < _LEAST_RESULTS:
        return None
    finite = [edge for edge, _ in edges if math.isfinite(edge)]
    found = next(edge for edge, count in edges if count >= _P99 * total)
    return found if math.isfinite(found) else max(finite, default=0.0) * 2
