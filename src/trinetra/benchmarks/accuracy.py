"""Accuracy of the platform on the digital twin: ``measure(run)``.

The twin's events are replayed through resolver and insight engine, built as in production, and
what these write is scored against the twin's truth. Everything runs in one thread in the order of
capture, so that a seed gives the same scores on every machine.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from trinetra.evaluation.identity import AT_LEAST_48_PX, FACE_SHOWN, WITH_FACES
from trinetra.evaluation.reading import Gathered, read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import Choices, identities_sheet, insights_sheet, tracks_sheet
from trinetra.evaluation.truth import Findings
from trinetra.events.codec import decode
from trinetra.events.derivation import Derivation, Span
from trinetra.events.schema import InsightEvent
from trinetra.replay.player import Detected
from trinetra.site import Site
from trinetra.twin.portraits import Portraits
from trinetra.twin.run import Twin
from trinetra.twin.scenario import NOISES, Scenario, Sensing
from trinetra.twin.service import write
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, EventId, after
from trinetra.wiring.config import derivations
from trinetra.wiring.replay import ReplayInputs, replay
from trinetra.wiring.simulation import face_model, site_of

PROFILE = "default"


@dataclass(frozen=True, slots=True)
class Store:
    """A size of shop."""

    shoppers_per_hour: float
    hours: float


STORES: Mapping[str, Store] = {
    "small": Store(20.0, 0.4),
    "medium": Store(60.0, 0.4),
    "busy": Store(240.0, 0.25),
}
SEEDS = (1, 2, 3, 4)
SWEPT_SEED = SEEDS[0]
FACTORS = (0.5, 2.0, 4.0)
"""How much weaker and stronger each noise of the twin is made, one at a time."""


class Band(NamedTuple):
    """The lowest and the highest value of a score over a sweep, and the noise that leads to it."""

    low: float
    low_at: str
    high: float
    high_at: str


AS_MEASURED = "as measured"
ERRORS = frozenset(
    {
        "id_switches_per_1000_boxes",
        "false_match_rate",
        "misidentified_rate",
        "false_new_rate",
        "undecided_rate",
        "splits",
        "merges",
        "misnamed_share",
        "people_error_percent",
        "footfall_error_percent",
        "visitors_error_percent",
        "visits_error_percent",
        "dwell_error_s",
        "queue_wait_error_s",
        "queue_wait_p50_error_s",
        "queue_wait_p90_error_s",
        "service_time_error_s",
        "served_error_percent",
        "abandonment_error_points",
    }
)
"""Scores of which less is better."""
_LEAST_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """One run in the built-in shop; ``noise`` is made ``factor`` times as strong as measured."""

    store: Store
    seed: int
    noise: str = ""
    factor: float = 1.0
    portraits: Portraits | None = None

    def twin(self) -> Twin:
        """Return the twin of the run."""
        sensing = Sensing(**{self.noise: self.factor}) if self.noise else Sensing()
        store = self.store
        scenario = Scenario(self.seed, store.shoppers_per_hour, store.hours, sensing=sensing)
        return Twin(built_in_shop(), scenario, portraits=self.portraits)


def measure(run: Run) -> dict[str, float]:
    """Return the scores of one run."""
    twin = run.twin()
    site = site_of(twin.plan)
    with tempfile.TemporaryDirectory(prefix="trinetra-accuracy-") as name:
        folder = Path(name)
        write(twin, folder)
        truth, findings = read_truth(folder / "truth.jsonl"), resolve(twin, site)
    choices = Choices(min_dwell_s=min(z.min_dwell_s for c in site.cameras for z in c.zones))
    return {
        **_of_tracks(tracks_sheet(truth, findings, choices)),
        **_of_identities(identities_sheet(truth, findings, choices)),
        **_of_insights(insights_sheet(truth, findings, choices)),
    }


def measure_links(store: Store, seed: int, variant: str) -> dict[str, float | None]:
    """Return the scores that links by body change: ``no bodies``, ``bodies``, or with ``links``."""
    scenario = Scenario(
        seed, store.shoppers_per_hour, store.hours, embeds_bodies=variant != "no bodies"
    )
    twin = Twin(built_in_shop(), scenario)
    site = site_of(twin.plan)
    if variant != "links":
        policies = site.policies
        bodies = policies.bodies.model_copy(update={"false_link_rate": 0.0})
        policies = policies.model_copy(update={"bodies": bodies})
        site = site.model_copy(update={"policies": policies})
    with tempfile.TemporaryDirectory(prefix="trinetra-links-") as name:
        write(twin, Path(name))
        truth, findings = read_truth(Path(name) / "truth.jsonl"), resolve(twin, site)
    sheet = identities_sheet(truth, findings, Choices())
    links = next(score for score in sheet.scores if score.name == "false_link_rate")
    names = ("identified_share", "misnamed_share", "identity_f1", "false_link_rate")
    return {**{name: sheet.value(name) for name in names}, "links": float(links.n or 0)}


def measure_store(
    store: Store,
    portraits: Portraits | None,
    measure_all: Callable[[Sequence[Run]], Sequence[dict[str, float]]],
) -> dict[str, Any]:
    """Return the scores of a store under every seed, and of one seed under a sweep of each noise.

    ``measure_all`` returns the scores of some runs, in order.
    """
    plain = [Run(store, seed, portraits=portraits) for seed in SEEDS]
    swept = [
        Run(store, SWEPT_SEED, noise, factor, portraits) for noise in NOISES for factor in FACTORS
    ]
    scores = measure_all([*plain, *swept])
    sweep: dict[str, dict[str, Any]] = {noise: {} for noise in NOISES}
    for run, found in zip(swept, scores[len(plain) :], strict=True):
        sweep[run.noise][f"{run.factor:g}"] = _rounded(found)
    return {
        "shoppers_per_hour": store.shoppers_per_hour,
        "hours": store.hours,
        "seeds": list(SEEDS),
        "with_photos": _share_with_photos(plain[0].twin()),
        "scores": summarise(dict(zip(SEEDS, scores, strict=False))),
        "sweep": sweep,
    }


def bands(store: Mapping[str, Any]) -> dict[str, Band]:
    """Return the range of every score over the sweep, which has one seed."""
    found = {}
    for name, score in store["scores"].items():
        at = [
            (values[name], f"{noise} x{factor}")
            for noise, of_factor in store["sweep"].items()
            for factor, values in of_factor.items()
            if name in values
        ]
        if (as_measured := score["by_seed"].get(str(SWEPT_SEED))) is not None:
            at.append((as_measured, AS_MEASURED))
        if at:
            found[name] = Band(*_least(at), *_least([(-value, of) for value, of in at]))
    return {name: band._replace(high=-band.high) for name, band in found.items()}


def _least(at: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """Return the lowest value and its noise; no noise if none moves it further."""
    return min(at, key=lambda one: (one[0], one[1] != AS_MEASURED))


def summarise(runs: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """Return mean, noise and each seed's value of every score.

    ``noise`` is twice the standard deviation between seeds: a smaller change of one seed's score
    may be chance.
    """
    names = sorted({name for scores in runs.values() for name in scores})
    return {name: _summary({s: r[name] for s, r in runs.items() if name in r}) for name in names}


def shortfalls(
    measured: Mapping[str, float], baseline: Mapping[str, Any], seed: int
) -> dict[str, tuple[float, float, float]]:
    """Return the scores that are worse than the baseline's of this seed by more than its noise.

    Each is given as measured, as in the baseline, and with the noise.
    """
    worse = {}
    for name, expected in baseline.items():
        before, noise = expected["by_seed"].get(str(seed)), expected["noise"]
        if before is None:
            continue
        now = measured.get(name, nan)
        loss = now - before if name in ERRORS else before - now
        if not loss <= noise:  # also where it is no longer measured
            worse[name] = (now, before, noise)
    return worse


def resolve(twin: Twin, site: Site) -> Findings:
    """Return what resolver and insight engine find in the twin's events."""
    inputs = ReplayInputs(site, face_model(twin, PROFILE))
    found = Gathered()

    def detections() -> Iterator[Detected]:
        for arrival in twin.arrivals():
            found.add(decode(arrival.payload))
            yield CameraId(arrival.camera_id), arrival.payload

    insights: dict[EventId, InsightEvent] = {}

    def listen(payload: bytes) -> None:
        event = decode(payload)
        found.add(event)
        if isinstance(event, InsightEvent):
            insights[event.event_id] = event

    asyncio.run(replay(inputs, detections(), listen))
    for event in derived(derivations(site), insights.values()):
        found.add(event)
    return found.findings()


def derived(
    derivations: Iterable[Derivation], insights: Iterable[InsightEvent]
) -> Iterator[InsightEvent]:
    """Yield what is derived from the insights of a run, as one window, inputs before outputs."""
    known = list(insights)
    for derivation in derivations:
        known.sort(key=lambda event: (event.captured_at, event.event_id))
        if known:
            span = Span(known[0].captured_at, after(known[-1].captured_at, 1.0))
            made = derivation.derive(span, known)
            known += made
            yield from made


def _of_tracks(sheet: ScoreSheet) -> dict[str, float]:
    boxes = float(str(sheet.basis["true_boxes"]))
    switches = sheet.value("id_switches") or 0.0
    return {
        **_values(sheet, "hota", "idf1", "mota"),
        "id_switches_per_1000_boxes": 1000.0 * switches / boxes,
    }


def _of_identities(sheet: ScoreSheet) -> dict[str, float]:
    people = next(score for score in sheet.scores if score.name == "people_error")
    names = (
        "identity_f1",
        "identity_precision",
        "false_match_rate",
        "misidentified_rate",
        "false_new_rate",
        "undecided_rate",
        "splits",
        "merges",
        "identified_share",
        "misnamed_share",
    )
    return {
        **_values(sheet, *names),
        "identity_f1_where_faces_are_read": sheet.value("identity_f1", WITH_FACES) or 0.0,
        "identity_f1_where_a_face_was_shown": sheet.value("identity_f1", FACE_SHOWN) or 0.0,
        **_recognised(sheet),
        "people_error_percent": 100.0 * abs(people.value or 0.0) / max(1.0, people.truth or 0.0),
    }


def _recognised(sheet: ScoreSheet) -> dict[str, float]:
    """Return the share of returning people who were recognized; empty if none returned."""
    share = sheet.value("recognised_again", AT_LEAST_48_PX)
    return {} if share is None else {"recognised_again_from_48_px": share}


def _of_insights(sheet: ScoreSheet) -> dict[str, float]:
    renamed = {
        "footfall_error": "footfall_error_percent",
        "unique_visitors_error": "visitors_error_percent",
        "visits_error": "visits_error_percent",
        "dwell_error": "dwell_error_s",
        "crossing_recall": "crossing_recall",
        "crossing_precision": "crossing_precision",
        "stay_recall": "stay_recall",
        "stay_precision": "stay_precision",
        "queue_wait_error": "queue_wait_error_s",
        "queue_wait_p50_error": "queue_wait_p50_error_s",
        "queue_wait_p90_error": "queue_wait_p90_error_s",
        "service_time_error": "service_time_error_s",
        "served_error": "served_error_percent",
        "service_recall": "service_recall",
        "service_precision": "service_precision",
        "abandonment_error": "abandonment_error_points",
    }
    return {
        new: mean for old, new in renamed.items() if (mean := _mean_size(sheet, old)) is not None
    }


def _mean_size(sheet: ScoreSheet, name: str) -> float | None:
    """Return the mean absolute value of a score over all lines or zones, weighted by ``n``."""
    rows = [
        (abs(s.value), s.n or 0) for s in sheet.scores if s.name == name and s.value is not None
    ]
    weight = sum(n for _, n in rows)
    return sum(value * n for value, n in rows) / weight if weight else None


def _values(sheet: ScoreSheet, *names: str) -> dict[str, float]:
    told = {name: sheet.value(name) for name in names}
    return {name: value for name, value in told.items() if value is not None}


def _share_with_photos(twin: Twin) -> float:
    """Return the share of the people of a run that have a real person's photos."""
    present = {stay.person.index for stay in twin.world.stays}
    return round(twin.faces.with_photos(sorted(present)) / max(len(present), 1), 3)


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in sorted(scores.items())}


def _summary(values: Mapping[int, float]) -> dict[str, Any]:
    figures = list(values.values())
    spread = stdev(figures) if len(figures) > 1 else 0.0
    return {
        "mean": round(fmean(figures), 4),
        "noise": round(max(_LEAST_NOISE, 2 * spread), 4),
        "standard_error": round(spread / sqrt(len(figures)), 4),
        "by_seed": {str(seed): round(value, 4) for seed, value in values.items()},
    }
