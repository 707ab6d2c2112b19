"""Audits a clip against counts that a person took while watching it.

Counts are either numbers, which can only be compared as sums, or times, which are matched one by
one. In sums, a missed person and one counted twice cancel each other out: the agreement of two sums
is an upper bound. Times reveal both errors.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import msgspec
import numpy as np
import scipy

from trinetra.errors import ConfigurationError
from trinetra.evaluation.boxes import Ints
from trinetra.evaluation.causes import CROSSINGS, PEOPLE, RECOGNIZED, STAYS
from trinetra.evaluation.figures import match_instants
from trinetra.evaluation.intervals import CONFIDENCE, Interval, wilson
from trinetra.evaluation.scores import Score, ScoreSheet
from trinetra.evaluation.truth import Findings

Count = int | list[str]
"""A number, or a list of times from the start of the clip: ``"0:07"``, ``"1:02.5"``, ``"95"``."""

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")
FOLLOWED, KNOWN = "people followed (tracks)", "people recognized (customers)"
AT_ONCE = "most at once"
_RIGHT = 0.9
_TOLERANCE_US = 2_000_000
_WISHED_HALF_WIDTH = 0.05


class LineCounts(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"into": "in"}, kw_only=True
):
    """Number of people who crossed a line, in each direction."""

    into: Count | None = None
    out: Count | None = None


class ZoneCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Number of stays in a zone, and their mean duration."""

    stays: Count | None = None
    mean_dwell_s: float | None = None


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Counts taken by a person; each is optional."""

    people: int | None = None
    most_at_once: int | None = None
    lines: dict[str, LineCounts] = {}
    zones: dict[str, ZoneCounts] = {}


@dataclass(frozen=True, slots=True)
class ClipFindings:
    """The platform's results for the clip of one camera, which began at ``start_us``."""

    camera: str
    start_us: int
    reads_faces: bool
    findings: Findings


def check_counts(counts: Counts, lines: Collection[str], zones: Collection[str]) -> None:
    """Raise ConfigurationError for impossible counts, or counts of unknown lines or zones."""
    if counts == Counts():
        raise ConfigurationError("no counts given: there is nothing to compare with")
    for kind, mine, there in (("line", counts.lines, lines), ("zone", counts.zones, zones)):
        if unknown := sorted(set(mine) - set(there)):
            known = ", ".join(sorted(there)) or "none"
            raise ConfigurationError(f"{kind} {unknown[0]} is not in the site file; it has {known}")
    for what, count in _all_counts(counts):
        if isinstance(count, list):
            _ = [seconds_of(text) for text in count]
        elif count is not None and count < 0:
            raise ConfigurationError(f"{what}: {count} is negative; counts are 0 or more")


@dataclass(frozen=True, slots=True)
class Wrong:
    """The kinds of counts that are wrong, and the lines and zones where they are."""

    kinds: frozenset[str]
    places: frozenset[str]


def wrong_counts(counts: Counts, sheet: ScoreSheet) -> Wrong:
    """Return which counts of an audit are wrong: off by more than a tenth, or in their times."""
    off = {score.of for score in sheet.scores if _is_off(score)}
    lines = {name for name in counts.lines if off & {f"{name} in", f"{name} out"}}
    zones = {name for name in counts.zones if off & {f"stays at {name}", f"dwell at {name}"}}
    kinds = {
        PEOPLE: off & {FOLLOWED, AT_ONCE},
        RECOGNIZED: off & {KNOWN},
        CROSSINGS: lines,
        STAYS: zones,
    }
    return Wrong(frozenset(kind for kind, of in kinds.items() if of), frozenset(lines | zones))


def _is_off(score: Score) -> bool:
    if score.name == "mean_dwell_error":
        return score.value is None or abs(score.value) > (1 - _RIGHT) * (score.truth or 0.0)
    return score.value is not None and score.value < _RIGHT


def audit(counts: Counts, clip: ClipFindings) -> ScoreSheet:
    """Return the agreement of the platform with the counts, with confidence intervals.

    ``agreement`` is the smaller of two sums divided by the larger; that of all crossings and stays
    adds up the sums of all lines and zones.
    """
    happenings = [*_lines(counts, clip), *_zones(counts, clip)]
    counts_of_events = [s for s in happenings if s.name == "agreement"]
    if len(counts_of_events) > 1:
        happenings.append(_together(counts_of_events))
    scores = (*_people(counts, clip), *happenings)
    return ScoreSheet("clip", scores, {"camera": clip.camera, "confidence": CONFIDENCE})


def seconds_of(text: str) -> float:
    """Return a time of ``[[hours:]minutes:]seconds`` in seconds. Raises ConfigurationError."""
    parts = _TIME.fullmatch(text.strip())
    if parts is None:
        raise ConfigurationError(
            f"{text!r} is not a time; write 0:07 or 1:02.5, from the start of the clip"
        )
    hours, minutes, seconds = parts.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


def _all_counts(counts: Counts) -> Iterator[tuple[str, Count | None]]:
    yield "people", counts.people
    yield "most_at_once", counts.most_at_once
    for name, line in counts.lines.items():
        yield f"lines.{name}.in", line.into
        yield f"lines.{name}.out", line.out
    for name, zone in counts.zones.items():
        yield f"zones.{name}.stays", zone.stays


def _people(counts: Counts, clip: ClipFindings) -> Iterator[Score]:
    tracks = clip.findings.tracks.get(clip.camera)
    if counts.people is not None:
        followed = len(tracks.names) if tracks else 0
        yield agreement(FOLLOWED, counts.people, followed)
        if clip.reads_faces:
            known = {d.customer for d in clip.findings.decisions if d.customer}
            yield agreement(KNOWN, counts.people, len(known))
    if counts.most_at_once is not None:
        most = _most_in_a_frame(tracks.at_us) if tracks else 0
        yield agreement(AT_ONCE, counts.most_at_once, most)


def _lines(counts: Counts, clip: ClipFindings) -> Iterator[Score]:
    crossings = clip.findings.facts.crossings or ()
    for name, line in counts.lines.items():
        ways: Mapping[str, Count | None] = {"in": line.into, "out": line.out}
        for way, count in ways.items():
            if count is not None:
                found = [c.at_us for c in crossings if (c.line, c.direction) == (name, way)]
                yield from _compared(f"{name} {way}", count, found, clip.start_us)


def _zones(counts: Counts, clip: ClipFindings) -> Iterator[Score]:
    for name, zone in counts.zones.items():
        stays = [s for s in clip.findings.facts.stays or () if s.zone == name]
        if zone.stays is not None:
            found = [s.entered_us for s in stays]
            yield from _compared(f"stays at {name}", zone.stays, found, clip.start_us)
        if zone.mean_dwell_s is not None:
            dwell_s = [s.dwell_s for s in stays]
            yield _mean_dwell(f"dwell at {name}", zone.mean_dwell_s, dwell_s)


def _compared(of: str, count: Count, found_us: list[int], start_us: int) -> Iterator[Score]:
    if isinstance(count, int):
        yield agreement(of, count, len(found_us))
        return
    times_us = [start_us + round(seconds_of(text) * 1e6) for text in count]
    hits = match_instants(times_us, found_us, _TOLERANCE_US)
    yield agreement(of, len(count), len(found_us))
    for name, trials, note in (
        ("recall", len(count), "of your counts were found"),
        ("precision", len(found_us), "of the found ones are in your counts"),
    ):
        if trials:
            interval = wilson(hits, trials)
            yield Score(
                name=name, of=of, value=hits / trials, interval=interval, n=trials, note=note
            )


def agreement(of: str, counted: int, found: int) -> Score:
    """Return the smaller count divided by the larger, with the interval of a proportion."""
    return _agreement_of(of, min(counted, found), max(counted, found), counted, found)


def _together(scores: list[Score]) -> Score:
    sums = [(round(score.truth or 0), round(score.found or 0)) for score in scores]
    least, most = sum(map(min, sums)), sum(map(max, sums))
    return _agreement_of("all crossings and stays", least, most, None, None)


def _agreement_of(of: str, least: int, most: int, counted: int | None, found: int | None) -> Score:
    interval = wilson(least, most)
    return Score(
        name="agreement",
        of=of,
        value=least / most if most else None,
        interval=interval if most else None,
        truth=counted,
        found=found,
        n=most,
        note=_advice(least, most, interval),
    )


def _advice(least: int, most: int, interval: Interval) -> str:
    if not most:
        return "nothing happened in this clip: not measured"
    if interval.high - interval.low <= 2 * _WISHED_HALF_WIDTH:
        return ""
    return f"count about {trials_for(least, most)} for an accuracy of 5 points"


def trials_for(successes: int, trials: int, half_width: float = _WISHED_HALF_WIDTH) -> int:
    """Return the number of trials that narrow this proportion's interval to +/- half_width.

    The proportion is taken at the center of its present interval, so that a few perfect trials do
    not promise too much.
    """
    interval = wilson(successes, trials)
    center = (interval.low + interval.high) / 2
    z = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2))
    return int(np.ceil(z * z * center * (1 - center) / half_width**2))


def _mean_dwell(of: str, counted_s: float, dwell_s: list[float]) -> Score:
    found_s = fmean(dwell_s) if dwell_s else None
    return Score(
        name="mean_dwell_error",
        of=of,
        value=None if found_s is None else found_s - counted_s,
        unit="s",
        truth=counted_s,
        found=found_s,
        n=len(dwell_s),
        note="" if found_s is not None else "no stay was found",
    )


def _most_in_a_frame(at_us: Ints) -> int:
    return int(np.unique(at_us, return_counts=True)[1].max(initial=0))
