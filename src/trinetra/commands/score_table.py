"""A sheet of scores as a table, or as JSON."""

from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.commands.console import output, print_json
from trinetra.evaluation.scores import Score, ScoreSheet


def print_sheet(sheet: ScoreSheet, *, as_json: bool) -> None:
    """Print a sheet as a table, or as JSON."""
    if as_json:
        print_json(sheet.as_json())
        return
    console = output()
    console.print(_table(sheet))
    basis = ", ".join(f"{key} {_plain(value)}" for key, value in sheet.basis.items())
    console.print(basis, style="dim", markup=False, soft_wrap=True)


def _table(sheet: ScoreSheet) -> Table:
    table = Table(title=sheet.kind, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("score", no_wrap=True)
    for heading in ("value", "95 % interval", "truth", "found", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("note")
    for score in sheet.scores:
        table.add_row(*(Text(cell) for cell in _row(score)))
    return table


def _row(score: Score) -> tuple[str, ...]:
    unit = f" {score.unit}" if score.unit else ""
    ends = [_figure(end) for end in score.interval or ()]
    return (
        " ".join(filter(None, (score.name.replace("_", " "), score.of))),
        "not measured" if score.value is None else f"{_figure(score.value)}{unit}",
        " to ".join(ends),
        _figure(score.truth),
        _figure(score.found),
        _figure(score.n),
        score.note,
    )


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3f}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
