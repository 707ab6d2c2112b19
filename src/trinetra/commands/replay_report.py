"""Report on the differences between two replays, as tables or as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trinetra.commands.console import output
from trinetra.evaluation.change import Differences, Figure, Score, TrackChange
from trinetra.evaluation.outcome import Verdict
from trinetra.replay.recording import Recording

_EXAMPLES = 10
_STYLES = {"better": "green", "worse": "red"}


@dataclass(frozen=True, slots=True)
class Report:
    """Two replays of a recording: with present settings, and with ``tried`` applied."""

    tried: tuple[str, ...]
    recording: Recording
    differences: Differences
    scores: tuple[Score, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        found = self.differences
        return {
            "set": list(self.tried),
            "site": self.recording.site_id,
            "from": self.recording.first_at.isoformat(),
            "to": self.recording.last_at.isoformat(),
            "detections": len(self.recording),
            "seconds": round(self.seconds, 2),
            "events_per_s": round(len(self.recording) / self.seconds, 1),
            "tracks_in_both": found.tracks_in_both,
            "changed": {camera: dict(kinds) for camera, kinds in found.by_camera().items()},
            "identities_split": found.split,
            "identities_joined": found.joined,
            "figures": [figure._asdict() for figure in found.figures],
            "scores": [score._asdict() for score in self.scores],
            "tracks": [_change_as_json(change) for change in found.changes],
        }


def _change_as_json(change: TrackChange) -> dict[str, Any]:
    return {
        "track_id": change.track,
        "camera_id": change.verdict.camera,
        "change": change.kind,
        "before": _verdict_as_json(change.before),
        "after": _verdict_as_json(change.after),
    }


def _verdict_as_json(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {**verdict._asdict(), "at": verdict.at.isoformat()}


def print_report(report: Report) -> None:
    """Print the differences."""
    console, found = output(), report.differences
    for line in _heading(report):
        console.print(Text(line), soft_wrap=True)
    if found.changes:
        console.print(_cameras(found))
    if differing := [figure for figure in found.figures if figure.before != figure.after]:
        console.print(_figures(differing))
    else:
        console.print(Text("Visits, crossings, stays and alerts would be the same."))
    if report.scores:
        _print_scores(console, report.scores)
    _print_examples(console, found.changes)


def _heading(report: Report) -> Iterator[str]:
    recording, found = report.recording, report.differences
    yield (
        f"{len(recording):,} detections of {len(recording.cameras)} cameras of "
        f"{recording.site_id}, "
        f"{recording.first_at:%Y-%m-%d %H:%M:%S} to {recording.last_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"replayed twice in {report.seconds:.0f} s ({len(recording) / report.seconds:,.0f}/s each)"
    )
    yield f"now: the present site file; then: {', '.join(report.tried)}"
    yield (
        f"{len(found.changes)} of {found.tracks_in_both} tracks would be decided differently; "
        f"{found.split} identities would be split, {found.joined} joined"
    )


def _cameras(found: Differences) -> Table:
    kinds = list(dict.fromkeys(change.kind for change in found.changes))
    table = _table("tracks that change", "camera", *kinds)
    for camera, counts in found.by_camera().items():
        table.add_row(camera, *(str(counts[kind] or "") for kind in kinds))
    return table


def _figures(figures: list[Figure]) -> Table:
    table = _table("figures that change", "figure", "now", "then", "change")
    for figure in figures:
        change = figure.after - figure.before
        name = f"{figure.name} {figure.of}".rstrip()
        table.add_row(name, f"{figure.before:g}", f"{figure.after:g}", f"{change:+g}")
    return table


def _print_scores(console: Console, scores: tuple[Score, ...]) -> None:
    differing = [score for score in scores if score.better != "same"]
    if differing:
        console.print(_scores(differing))
    same = len(scores) - len(differing)
    console.print(Text(f"{same} of {len(scores)} scores against the truth are the same"))


def _scores(scores: list[Score]) -> Table:
    table = _table("scores against the truth", "score", "now", "then", "")
    for score in scores:
        name = f"{score.kind}: {score.name.replace('_', ' ')} {score.of}".rstrip()
        better = Text(score.better, _STYLES[score.better])
        table.add_row(name, f"{score.before:.4g}", f"{score.after:.4g}", better)
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _print_examples(console: Console, changes: tuple[TrackChange, ...]) -> None:
    if not changes:
        return
    title = f"examples ({min(_EXAMPLES, len(changes))} of {len(changes)}; all with --json)"
    console.print(Text(title))
    for change in _spread(changes):
        verdict = change.verdict
        told = f"  {verdict.at:%H:%M:%S}  {verdict.camera:<12}  {change.kind}: "
        told += f"{_told(change.before)} -> {_told(change.after)}  [{verdict.event_id}]"
        console.print(Text(told), soft_wrap=True)


def _spread(changes: tuple[TrackChange, ...]) -> Iterator[TrackChange]:
    """Yield some examples, of every kind of change in turn."""
    of_kind: dict[str, list[TrackChange]] = {}
    for change in changes:
        of_kind.setdefault(change.kind, []).append(change)
    left = _EXAMPLES
    for rank in range(len(changes)):
        for examples in of_kind.values():
            if rank < len(examples) and left:
                left -= 1
                yield examples[rank]


def _told(verdict: Verdict | None) -> str:
    if verdict is None:
        return "no such track"
    reasons = ", ".join(reason.replace("_", " ") for reason in verdict.reasons)
    return f"{verdict.status} {verdict.customer or ''}".rstrip() + f" ({reasons})"
