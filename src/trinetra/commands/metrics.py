"""``trinetra metrics``: lists the metrics and their definitions."""

from importlib.resources import files
from typing import Annotated

import typer
from rich.table import Table

from trinetra.commands.console import output, print_json, print_text
from trinetra.insights.metrics.catalog import metrics_named
from trinetra.insights.metrics.definition import Metric

_Names = Annotated[
    list[str] | None, typer.Argument(metavar="[METRIC]...", help="Metrics; default: all.")
]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Print docs/metrics.md.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON list.")]
_UNITS = {
    "count": "number",
    "s": "seconds",
    "share": "share, 0 to 1",
    "money": "money",
    "people": "people",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("metrics")(metrics)


def metrics(names: _Names = None, *, markdown: _Markdown = False, as_json: _Json = False) -> None:
    """List the metrics: what each counts, and what it leaves out."""
    chosen = metrics_named(names or [])
    if markdown:
        head = files("trinetra.commands").joinpath("metrics_head.md").read_text()
        print_text("\n".join([head, *map(_section, chosen)]))
    elif as_json:
        print_json([_as_json(metric) for metric in chosen])
    else:
        output().print(_table(chosen))


def _table(chosen: tuple[Metric, ...]) -> Table:
    table = Table("metric", "unit", "counts", "leaves out", pad_edge=False)
    for metric in chosen:
        table.add_row(metric.name, metric.unit, metric.counts, metric.leaves_out)
    return table


def _as_json(metric: Metric) -> dict[str, object]:
    return {
        "name": metric.name,
        "version": metric.version,
        "title": metric.title,
        "unit": metric.unit,
        "counts": metric.counts,
        "leaves_out": metric.leaves_out,
        "trade": metric.trade,
    }


def _section(metric: Metric) -> str:
    trade = f"- In the trade: {metric.trade}\n" if metric.trade else ""
    return (
        f"### {metric.title}\n\n"
        f"`{metric.name}`, version {metric.version}, {_UNITS[metric.unit]}\n\n"
        f"- Counts: {metric.counts}\n- Leaves out: {metric.leaves_out}\n{trade}"
    )
