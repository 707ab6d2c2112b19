"""Tables of ``trinetra models calibrate``: error rates by threshold, and by size of the gallery."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from trinetra.commands.console import note, output
from trinetra.evaluation.identification import HeldOut
from trinetra.models.calibration import (
    LEAST_PEOPLE,
    CalibrationFile,
    MeasuredRate,
    SizeRow,
    Threshold,
)

_LEAST_SHOWN = 1e-5


def show_calibration(found: CalibrationFile) -> None:
    """Print the error rates of pairs, and of identification."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("similarity", no_wrap=True)
    for heading in ("FMR", "95 %", "FNMR", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.thresholds:
        why = "(manifest)" if row.target is None else f"for {row.target:g}"
        table.add_row(f"{row.similarity:.3f} {why}", *_cells(row))
    for size in found.sizes:
        table.add_row(f"{found.similarity:.3f} at {size.size_px} px", *_cells(size))
    output().print(table)
    pairs = found.thresholds[0]
    note(
        f"{found.model}: {found.people} people, {found.pictures} pictures, "
        f"{pairs.false_non_matches.pairs} genuine and {pairs.false_matches.pairs} impostor pairs; "
        "bootstrap intervals over people, and Wilson's where there was no error"
    )
    output().print(f"threshold: {found.similarity:.3f}")
    _show_identification(found)


def _show_identification(found: CalibrationFile) -> None:
    """Print the error rates over the number of people in the gallery."""
    if found.impostors is None:
        note(
            f"fewer than {LEAST_PEOPLE} people, or a folder of fewer than 10: thresholds for "
            "larger galleries are derived from the manifest's statistics"
        )
        return
    fixed = f"at {found.thresholds[-1].similarity:.3f}"  # the manifest's
    for face_px in sorted({row.face_px for row in found.identification}, reverse=True):
        table = Table(
            title=f"faces from {face_px} px",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for heading in ("people", "similarity", "FPIR %", "95 %", "FNIR %", "95 %", fixed):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in found.identification:
            if row.face_px == face_px:
                table.add_row(
                    f"{row.people:,}{'*' if row.extrapolated else ' '}",
                    f"{row.similarity:.3f}",
                    *_percent(row.false_positives),
                    *_percent(row.misses),
                    _percent(row.fixed)[0],
                )
        output().print(table)
    note(
        f"* extrapolated from the tail of {found.impostors.people} people's scores; intervals from "
        "resampling people. FPIR: visitors who are taken for a person in the gallery, half of the "
        "target (the other half is for people on site); the last column has it at that threshold. "
        "FNIR: returning visitors who are not recognized"
    )


def show_held_out(rows: Sequence[HeldOut], folders: Sequence[Path]) -> None:
    """Print the rates of people who played no part in the fit."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("people", "face px", "target %", "similarity"):
        table.add_column(heading, justify="right", no_wrap=True)
    for folder in folders:
        table.add_column(f"FPIR % of {folder.name}", justify="right")
        table.add_column("FNIR %", justify="right")
    for row in rows:
        rates = (rate for pair in zip(row.observed, row.misses, strict=True) for rate in pair)
        told = ("-" if rate != rate else _in_percent(rate) for rate in rates)  # noqa: PLR0124  NaN
        aim = (f"{row.size}", f"{row.face_px}", f"{100 * row.target:g}", f"{row.threshold:.3f}")
        table.add_row(*aim, *told)
    output().print(table)
    note("held out: means of 50 random halves of each folder, with the tail of the other halves")


def _percent(rate: MeasuredRate) -> tuple[str, str]:
    value, low, high = (_in_percent(share) for share in (rate.value, rate.low, rate.high))
    return value, f"{low}-{high}"


def _in_percent(share: float) -> str:
    return "<.001" if 0 < share < _LEAST_SHOWN else f"{100 * share:.2g}".replace("1e+02", "100")


def _cells(row: Threshold | SizeRow) -> tuple[str, ...]:
    matches, misses = row.false_matches, row.false_non_matches
    return (
        f"{matches.value:.2g}",
        f"{matches.low:.2g} to {matches.high:.2g}",
        f"{misses.value:.1%}",
        f"{misses.low:.1%} to {misses.high:.1%}",
    )
