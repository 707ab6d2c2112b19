"""``trinetra eval``: scores the events of the platform against ground truth."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.commands.options import grouped_options
from trinetra.commands.score_table import print_sheet
from trinetra.errors import ConfigurationError
from trinetra.evaluation.reading import TruthFormat, read_events, read_truth
from trinetra.evaluation.scoring import (
    Choices,
    detections_sheet,
    identities_sheet,
    insights_sheet,
    tracks_sheet,
)
from trinetra.evaluation.truth import Findings, Truth
from trinetra.values import microseconds

_Label = Annotated[str, typer.Option("--label", help="Object label; 'any' for all.")]
_Iou = Annotated[
    float, typer.Option("--iou", min=0.05, max=0.95, help="Minimum overlap of a match.")
]
_MinScore = Annotated[
    float,
    typer.Option("--min-score", min=0, max=1, help="Minimum score; lower ones count for AP alone."),
]
_MinDwell = Annotated[
    float, typer.Option("--min-dwell", min=0, help="Minimum length of a stay, in seconds.")
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the resampling.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

evaluate = typer.Typer(
    cls=lazy_group(
        {
            "clip": LazyCommand(
                "clip_audit",
                "Compare the platform's counts with your own on a clip.",
            ),
            "real": LazyCommand(
                "real", "Score the platform on labeled recordings, beside stock trackers."
            ),
            "purchases": LazyCommand(
                "purchases", "Score the attribution of receipts to people on the digital twin."
            ),
            "baseline": LazyCommand(
                "baseline", "Score the pipeline on the digital twin: small, medium and busy store."
            ),
        }
    ),
    no_args_is_help=True,
    help="Score the platform against ground truth.",
)


@dataclass(frozen=True, slots=True)
class Compared:
    """The ground truth, the events, and the camera to compare."""

    truth: Annotated[
        Path, typer.Option("--truth", help="MOTChallenge text, CVML XML, or a twin's.")
    ]
    events: Annotated[Path, typer.Option("--events", help="The JSON lines that --events wrote.")]
    camera: Annotated[str | None, typer.Option("--camera", help="Compare this camera alone.")] = (
        None
    )
    written_as: Annotated[
        TruthFormat | None,
        typer.Option("--format", help="Format of the truth; by default from its suffix."),
    ] = None


@dataclass(frozen=True, slots=True)
class ComparedFrames(Compared):
    """Ground truth and events that are compared frame by frame, so their times must agree."""

    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frame rate of a truth file that has none."),
    ] = None
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="Start of the recording, like 2026-11-22T12:00Z; default: its first frame.",
        ),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(evaluate, name="eval")


@evaluate.command("detections")
@grouped_options
def detections(
    compared: ComparedFrames,
    *,
    label: _Label = "person",
    iou: _Iou = 0.5,
    min_score: _MinScore = 0.45,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Score single frames: average precision, recall, precision."""
    choices = Choices(compared.camera, _start_us(compared.start), iou, min_score, seed)
    truth, findings = _read(compared, label, fps=compared.fps)
    print_sheet(detections_sheet(truth, findings, choices), as_json=as_json)


@evaluate.command("tracks")
@grouped_options
def tracks(
    compared: ComparedFrames,
    *,
    label: _Label = "person",
    iou: _Iou = 0.5,
    as_json: _Json = False,
) -> None:
    """Score tracks: HOTA, IDF1, MOTA, identity switches."""
    choices = Choices(compared.camera, _start_us(compared.start), iou)
    truth, findings = _read(compared, label, fps=compared.fps)
    print_sheet(tracks_sheet(truth, findings, choices), as_json=as_json)


@evaluate.command("identities")
@grouped_options
def identities(compared: ComparedFrames, *, iou: _Iou = 0.5, as_json: _Json = False) -> None:
    """Score identities over all cameras: IDF1, false matches, false new ones, splits, merges."""
    choices = Choices(compared.camera, _start_us(compared.start), iou)
    truth, findings = _read(compared, "person", fps=compared.fps)
    print_sheet(identities_sheet(truth, findings, choices), as_json=as_json)


@evaluate.command("insights")
@grouped_options
def insights(
    compared: Compared,
    *,
    label: _Label = "person",
    min_dwell: _MinDwell = 2.0,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Score insights: errors of footfall, visitors, dwell, waits and conversion."""
    choices = Choices(compared.camera, seed=seed, min_dwell_s=min_dwell)
    truth, findings = _read(compared, label)
    print_sheet(insights_sheet(truth, findings, choices), as_json=as_json)


def _read(compared: Compared, label: str, *, fps: float | None = None) -> tuple[Truth, Findings]:
    wanted = None if label == "any" else label
    truth = read_truth(compared.truth, written_as=compared.written_as, fps=fps, label=wanted)
    return truth, read_events(compared.events, label=wanted)


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
