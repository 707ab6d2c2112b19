"""``trinetra eval``: score what the platform said against what was so."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.commands.score_table import print_sheet
from trinetra.errors import ConfigurationError
from trinetra.evaluation.reading import TruthFormat, read_events, read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import (
    Choices,
    detections_sheet,
    identities_sheet,
    insights_sheet,
    tracks_sheet,
)
from trinetra.evaluation.truth import Findings, Truth
from trinetra.values import microseconds

_Truth = Annotated[Path, typer.Option("--truth", help="MOTChallenge text, CVML XML, or a twin's.")]
_Events = Annotated[Path, typer.Option("--events", help="The JSON lines that --events wrote.")]
_Camera = Annotated[str | None, typer.Option("--camera", help="Compare this camera alone.")]
_Fps = Annotated[
    float | None, typer.Option("--fps", help="Frames per second of a truth that does not tell.")
]
_Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="When the recording began, like 2026-11-22T12:00Z; else with its first frame.",
    ),
]
_Format = Annotated[
    TruthFormat | None, typer.Option("--format", help="How the truth is written; by its suffix.")
]
_Label = Annotated[str, typer.Option("--label", help="Which objects; 'any' for all.")]
_Iou = Annotated[float, typer.Option("--iou", min=0.05, max=0.95, help="Least overlap of a match.")]
_MinScore = Annotated[
    float, typer.Option("--min-score", min=0, max=1, help="Weaker detections count for AP alone.")
]
_MinDwell = Annotated[
    float, typer.Option("--min-dwell", min=0, help="Shorter stays, in seconds, do not count.")
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the resampling.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

evaluate = typer.Typer(
    cls=lazy_group(
        {
            "clip": LazyCommand(
                "clip_audit",
                "Audit a clip of yours: how far does the platform agree with "
                "what you counted in it?",
            ),
            "baseline": LazyCommand(
                "baseline", "Score the pipeline on the digital twin: small, medium and busy store."
            ),
        }
    ),
    no_args_is_help=True,
    help="Score the platform against the truth.",
)

_Scorer = Callable[[Truth, Findings, Choices], ScoreSheet]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(evaluate, name="eval")


@evaluate.command("detections")
def detections(
    truth: _Truth,
    events: _Events,
    *,
    camera: _Camera = None,
    fps: _Fps = None,
    start: _Start = None,
    written_as: _Format = None,
    label: _Label = "person",
    iou: _Iou = 0.5,
    min_score: _MinScore = 0.45,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Score single frames: average precision, recall, precision."""
    choices = Choices(camera, _start_us(start), iou, min_score, seed)
    sheet = detections_sheet(*_read(truth, events, written_as, fps, label), choices)
    print_sheet(sheet, as_json=as_json)


@evaluate.command("tracks")
def tracks(
    truth: _Truth,
    events: _Events,
    *,
    camera: _Camera = None,
    fps: _Fps = None,
    start: _Start = None,
    written_as: _Format = None,
    label: _Label = "person",
    iou: _Iou = 0.5,
    as_json: _Json = False,
) -> None:
    """Score tracks: HOTA, IDF1, MOTA, identity switches."""
    choices = Choices(camera, _start_us(start), iou)
    sheet = tracks_sheet(*_read(truth, events, written_as, fps, label), choices)
    print_sheet(sheet, as_json=as_json)


@evaluate.command("identities")
def identities(
    truth: _Truth,
    events: _Events,
    *,
    camera: _Camera = None,
    fps: _Fps = None,
    start: _Start = None,
    written_as: _Format = None,
    iou: _Iou = 0.5,
    as_json: _Json = False,
) -> None:
    """Score identities over all cameras: IDF1, false matches, false new ones, splits, merges."""
    choices = Choices(camera, _start_us(start), iou)
    sheet = identities_sheet(*_read(truth, events, written_as, fps, "person"), choices)
    print_sheet(sheet, as_json=as_json)


@evaluate.command("insights")
def insights(
    truth: _Truth,
    events: _Events,
    *,
    camera: _Camera = None,
    written_as: _Format = None,
    label: _Label = "person",
    min_dwell: _MinDwell = 2.0,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Score insights: errors of footfall, visitors, dwell, waits and conversion."""
    choices = Choices(camera, seed=seed, min_dwell_s=min_dwell)
    sheet = insights_sheet(*_read(truth, events, written_as, None, label), choices)
    print_sheet(sheet, as_json=as_json)


def _read(
    truth: Path, events: Path, written_as: TruthFormat | None, fps: float | None, label: str
) -> tuple[Truth, Findings]:
    wanted = None if label == "any" else label
    read = read_truth(truth, written_as=written_as, fps=fps, label=wanted)
    return read, read_events(events, label=wanted)


def _start_us(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as cause:
        raise ConfigurationError(f"--start {text}: {cause}") from cause
    if instant.tzinfo is None:
        raise ConfigurationError(f"--start {text} needs its offset from UTC: end it with Z")
    return microseconds(instant)
