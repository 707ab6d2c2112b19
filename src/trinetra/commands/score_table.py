"""Prints a sheet of scores as a table or as JSON."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.commands.console import output, print_json
from trinetra.evaluation.scores import Score, ScoreSheet

_LARGE = 10.0
"""From here on, three digits after the point say no more than one."""


def print_sheet(sheet: ScoreSheet, *, as_json: bool) -> None:
    """Print a sheet as a table with its notes below, or as JSON."""
    if as_json:
        print_json(sheet.as_json())
        return
    console = output()
    console.print(_table(sheet))
    for line in (*_notes(sheet), _basis(sheet)):
        console.print(line, style="dim", markup=False, soft_wrap=True)


def _table(sheet: ScoreSheet) -> Table:
    table = Table(title=sheet.kind, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("score", overflow="fold")
    for heading in ("value", "95 % interval", "truth", "found", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in sheet.scores:
        table.add_row(*(Text(cell) for cell in _row(score)))
    return table


def _row(score: Score) -> tuple[str, ...]:
    unit = f" ({score.unit})" if score.unit else ""
    return (
        f"{_name(score)}{unit}",
        "not measured" if score.value is None else _figure(score.value),
        " to ".join(_figure(end) for end in score.interval or ()),
        _figure(score.truth),
        _figure(score.found),
        _figure(score.n),
    )


def _notes(sheet: ScoreSheet) -> Iterator[str]:
    """Yield every note once, with the scores it is about."""
    told: dict[str, list[str]] = {}
    for score in sheet.scores:
        if score.note:
            told.setdefault(score.note, []).append(_name(score))
    for note, names in told.items():
        yield f"{', '.join(names)}: {note}"


def _basis(sheet: ScoreSheet) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in sheet.basis.items())


def _name(score: Score) -> str:
    return f"{score.name.replace('_', ' ')} {score.of}".rstrip()


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    return 3 if abs(value) < _LARGE else 1


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
