"""``trinetra eval real``: scores the platform on every labeled recording in a folder."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from trinetra import __version__
from trinetra.benchmarks.accuracy_page import as_markdown
from trinetra.benchmarks.real import ROLE, Row, checked, measure, rate_name, shortfalls, usual
from trinetra.benchmarks.real_faces import measure_faces
from trinetra.benchmarks.real_plates import measure_plates, plate_shortfalls
from trinetra.benchmarks.real_table import (
    as_document,
    as_text,
    face_tables,
    plate_tables,
    tables,
)
from trinetra.benchmarks.stock_trackers import STOCK_TRACKERS
from trinetra.commands.baseline import read_document
from trinetra.commands.console import note, print_json, print_text
from trinetra.commands.options import grouped_options
from trinetra.commands.progress import FetchProgress
from trinetra.errors import ConfigurationError, SourceUnavailable, StorageFull
from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.reading.footage import NOTES_FILE, find_footage
from trinetra.evaluation.scores import ScoreSheet
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.wiring.profiles import choose_profile, ensure_models
from trinetra.wiring.real_footage import Footage

_Measured = Iterable[tuple[LabeledView, float]]
NOTES = Path("benchmarks/real.toml")

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Against = Annotated[
    Path | None,
    typer.Option("--against", help="Fail if a score is worse than in this file of --write."),
]
_Write = Annotated[
    bool, typer.Option("--write", help="Write benchmarks/real.json and docs/accuracy.md.")
]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``eval``."""
    group.command("real")(real)


@dataclass(frozen=True, slots=True)
class FootageOptions:
    """The recordings to score."""

    folder: Annotated[
        Path | None, typer.Option("--dir", help="The recordings; default: TRINETRA_REAL_DIR.")
    ] = None
    notes: Annotated[
        Path | None,
        typer.Option("--notes", help="Notes on them; default: footage.toml in the folder."),
    ] = None
    names: Annotated[
        list[str] | None, typer.Option("--view", help="Score only this recording (repeatable).")
    ] = None

    def views(self, settings: Settings) -> tuple[LabeledView, ...]:
        """Return the recordings, and tell what could not be used. Raises ConfigurationError."""
        folder = self.folder or settings.real_dir
        if folder is None:
            raise ConfigurationError(
                "no recordings named: give a folder with --dir, or set TRINETRA_REAL_DIR; "
                "docs/evaluation.md describes its contents"
            )
        found = find_footage(folder, self.notes or _own_notes(folder))
        for problem in found.problems:
            note(problem)
        views = [v for v in found.views if not self.names or v.name in self.names]
        if not views:
            there = ", ".join(view.name for view in found.views) or "none"
            raise ConfigurationError(f"{folder}: no such labeled recording; there are: {there}")
        return tuple(views)


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """The frame rates, and what else to measure."""

    rates: Annotated[
        list[float] | None,
        typer.Option(
            "--fps",
            min=0,
            max=60,
            help="Frame rate (repeatable), 0 for those of the role; default: 0, 5, 10 and 25.",
        ),
    ] = None
    faces: Annotated[
        list[Path] | None,
        typer.Option("--faces", help="Folder of labeled faces to score too (repeatable)."),
    ] = None
    plates: Annotated[
        Path | None,
        typer.Option(
            "--plates", help="Labeled photos of license plates; default: TRINETRA_PLATES_DIR."
        ),
    ] = None
    stock: Annotated[
        bool,
        typer.Option("--stock/--no-stock", help="Score stock trackers and readers beside ours."),
    ] = True


@grouped_options
def real(
    footage: FootageOptions,
    measured: MeasureOptions,
    *,
    against: _Against = None,
    write: _Write = False,
    as_json: _Json = False,
) -> None:
    """Score the platform on labeled recordings, beside stock trackers."""
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    views = footage.views(settings)
    if against is not None:
        check_against(against, views, settings, measured.rates)
        check_plates(against, measured.plates or settings.plates_dir, settings)
        return
    rates = measured.rates
    pairs = [(view, fps) for view in views for fps in rates] if rates else usual(views)
    stock = tuple(STOCK_TRACKERS) if measured.stock else ()
    rows, models = measure_all(settings, pairs, stock)
    faces = _faces(settings, measured.faces or ())
    plates = _plates(settings, measured.plates or settings.plates_dir, stock=measured.stock)
    document = as_document(__version__, models, rows, faces, plates)
    if write:
        _write(document)
    if as_json:
        print_json(document)
        return
    for table in (*tables(rows), *face_tables(faces), *plate_tables(plates)):
        print_text(as_text(table) + "\n")


def measure_all(
    settings: Settings, pairs: _Measured, stock: Sequence[str], *, intervals: bool = True
) -> tuple[list[Row], dict[str, str]]:
    """Return the scores of recordings at rates, and the versions of the networks."""
    with FetchProgress() as progress:
        footage = Footage(settings, progress)
    rows: list[Row] = []
    for view, fps in pairs:
        note(f"{view.name} at {rate_name(fps)}")
        try:
            rows += measure(footage, view, fps, stock, intervals=intervals)
        except SourceUnavailable as cause:
            note(f"{view.name} is left out: {cause}")
    return rows, footage.models(ROLE)


def _faces(settings: Settings, folders: Sequence[Path]) -> list[ScoreSheet]:
    if not folders:
        return []
    profile = choose_profile(settings)
    with FetchProgress() as progress:
        files = ensure_models(profile, settings, progress)
    return [measure_faces(folder, profile, files, settings) for folder in folders]


def _plates(settings: Settings, folder: Path | None, *, stock: bool) -> list[ScoreSheet]:
    if folder is None:
        return []
    profile = choose_profile(settings)
    with FetchProgress() as progress:
        files = ensure_models(profile, settings, progress)
    return measure_plates(folder, profile, files, settings, stock=stock)


def check_plates(file: Path, folder: Path | None, settings: Settings) -> None:
    """Raise ConfigurationError if fewer plates are read exactly, by more than one photo."""
    expected = [ScoreSheet.of_json(sheet) for sheet in read_document(file).get("plates", ())]
    if folder is None or not expected:
        return
    measured = _plates(settings, folder, stock=False)
    if worse := plate_shortfalls(measured, expected):
        raise ConfigurationError(f"worse than {file}: {'; '.join(worse)}")
    print_text(f"plates of {len(measured) - 1} regions are read as well as in {file}\n")


def check_against(
    file: Path,
    views: Sequence[LabeledView],
    settings: Settings,
    rates: Sequence[float] | None = None,
) -> None:
    """Raise ConfigurationError naming every score that fell by more than its noise.

    So does a recording that cannot be read.
    """
    expected = _rows(file)
    pairs = [(v, fps) for v in views for fps in rates] if rates else list(checked(views))
    rows, _ = measure_all(settings, pairs, (), intervals=False)
    measured = {(row.view, row.fps) for row in rows}
    lost = [f"{v.name} at {rate_name(r)}" for v, r in pairs if (v.name, r) not in measured]
    if lost:
        raise ConfigurationError(f"not measured: {', '.join(lost)}; see the notes above")
    if worse := shortfalls(rows, expected):
        raise ConfigurationError(
            f"worse than {file}: {'; '.join(worse)}. Fix it or, if it is intended, run "
            "`trinetra eval real --write`"
        )
    known = {row.key for row in expected}
    compared = sum(row.key in known for row in rows)
    if not compared:
        raise ConfigurationError(f"{file} has none of these recordings at these rates")
    print_text(f"no score of {compared} recordings and rates is worse than in {file}\n")


def _rows(file: Path) -> list[Row]:
    try:
        return [Row.of_json(row) for row in read_document(file)["rows"]]
    except (KeyError, TypeError, ValueError) as cause:
        raise ConfigurationError(f"{file} is not a baseline: {cause}") from cause


def _own_notes(folder: Path) -> Path | None:
    """Return this repository's notes, for a folder that has none of its own."""
    return None if (folder / NOTES_FILE).is_file() or not NOTES.is_file() else NOTES


def _write(document: dict[str, Any]) -> None:
    file, twin = Path("benchmarks/real.json"), Path("benchmarks/accuracy.json")
    page = Path("docs/accuracy.md")
    try:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        page.write_text(as_markdown(document, read_document(twin)), encoding="utf-8")
    except OSError as cause:
        raise StorageFull(f"{cause.filename} cannot be written: {cause.strerror}") from cause
    note(f"wrote {file} and {page}")
