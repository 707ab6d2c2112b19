"""``trinetra replay``: compares present and changed settings on recorded detections."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.temp_copies import temp_copy_folder
from trinetra.commands.console import note, print_json
from trinetra.commands.options import grouped_options
from trinetra.commands.replay_report import Report, print_report
from trinetra.commands.timestamps import instant_of
from trinetra.evaluation.change import differences, scores_beside
from trinetra.evaluation.reading.lines import require_file
from trinetra.evaluation.replayed import ReplayResult
from trinetra.replay.event_history import EventHistory
from trinetra.replay.recording import Recording, Window, record
from trinetra.settings import load_settings
from trinetra.site.overrides import with_overrides
from trinetra.telemetry import configure_logging
from trinetra.values import Instant
from trinetra.wiring.event_history import history_of
from trinetra.wiring.replay import ReplayVariant, run_variants
from trinetra.wiring.replay_inputs import prepare_replay

_Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A policy or topology value of the site file, like matching.similarity=0.68.",
    ),
]
_Truth = Annotated[
    Path | None, typer.Option("--truth", help="Score both; by default truth.jsonl beside --file.")
]
_Gallery = Annotated[
    Path | None,
    typer.Option("--gallery", help="Who was known: a file of `trinetra gallery export`."),
]
_Said = Annotated[
    Path | None,
    typer.Option("--said", help="Write the events under the changed settings to this file."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """The detections to replay, and their site."""

    begin: Annotated[
        str | None,
        typer.Option("--from", help="Start of capture, like 2h ago or 2026-11-22T09:00Z."),
    ] = None
    end: Annotated[str | None, typer.Option("--to", help="End of capture.")] = None
    file: Annotated[
        Path | None,
        typer.Option("--file", help="File that --events or a twin wrote; default: the log."),
    ] = None
    site: Annotated[
        Path | None,
        typer.Option("--site", metavar="SITE", help="The site file; site.yaml if here."),
    ] = None

    def window(self, now: Instant) -> Window:
        """Return the requested capture times. Raises ConfigurationError."""
        return Window(_instant("--from", self.begin, now), _instant("--to", self.end, now))


_AT_DETECTION = ("matching.min_quality", "matching.min_face_px")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("replay")(replay)


@grouped_options
def replay(
    settings_to_try: _Set,
    source: RecordingOptions,
    *,
    truth: _Truth = None,
    gallery: _Gallery = None,
    said: _Said = None,
    as_json: _Json = False,
) -> None:
    """Replay recorded detections under present and changed settings; nothing live is changed."""
    configure_logging(as_json=False, level="ERROR")
    settings, window = load_settings(), source.window(SystemClock().now())
    past = history_of(settings, file=source.file, site=source.site)
    truth = truth or _truth_beside(source.file)
    if truth is not None:
        require_file(truth)
    with temp_copy_folder(settings.data_dir) as folder:
        recording = _recorded(past, window, folder)
        prepared = asyncio.run(prepare_replay(past, recording, settings, source.site, gallery))
        inputs = prepared.inputs
        other = replace(inputs, site=with_overrides(inputs.site, settings_to_try))
        present = ReplayVariant(inputs, recording, truth, is_whole=window == Window())
        changed = replace(present, inputs=other, output=said)
        for text in (*prepared.notes, *_notes(settings_to_try, recording)):
            note(text)
        begun_s = time.perf_counter()
        before, after = _run([present, changed])
        seconds = time.perf_counter() - begun_s
    report = Report(
        tried=tuple(settings_to_try),
        recording=recording,
        differences=differences(before.outcome, after.outcome),
        scores=scores_beside(before.sheets, after.sheets),
        seconds=seconds,
    )
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report)


def _instant(option: str, text: str | None, now: Instant) -> Instant | None:
    return instant_of(option, text, now) if text else None


def _truth_beside(file: Path | None) -> Path | None:
    """Return the truth file that a twin wrote beside its events, if there is one."""
    if file is None or not (beside := file.with_name("truth.jsonl")).exists():
        return None
    note(f"scored against {beside}")
    return beside


def _recorded(past: EventHistory, window: Window, folder: Path) -> Recording:
    console = Console(stderr=True)
    with console.status(f"reading {past}") as status:

        def progress(done: int) -> None:
            status.update(f"reading {past}: {done:,} events")

        return asyncio.run(record(past, window, folder, progress))


def _notes(tried: list[str], recording: Recording) -> Iterator[str]:
    if recording.unreadable:
        yield f"{recording.unreadable} records are malformed and were left out"
    for assignment in tried:
        if assignment.partition("=")[0].strip().removeprefix("policies.") in _AT_DETECTION:
            yield (
                f"{assignment}: this applies where faces are read; the recording does not "
                "contain the faces that were left out"
            )


def _run(variants: list[ReplayVariant]) -> list[ReplayResult]:
    with _bars() as bars:
        tasks = [bars.add_task(name, total=len(variants[0].recording)) for name in ("now", "then")]
        return run_variants(variants, lambda n, done: bars.update(tasks[n], completed=done))


@contextmanager
def _bars() -> Iterator[Progress]:
    """Draw the progress of both replays, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        yield bars
