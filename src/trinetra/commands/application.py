"""Table of all commands, and the handling of their failures."""

import os
import sys
from typing import Annotated

import typer

from trinetra import __version__
from trinetra.commands.console import complain, print_text
from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.errors import TrinetraError
from trinetra.redaction import mask_urls

_COMMANDS = {
    "init": LazyCommand("site", "Write a commented example of a site file."),
    "check": LazyCommand("site", "Check a site file and report all mistakes at once."),
    "schema": LazyCommand("site", "Print the JSON Schema of site files, for editors."),
    "run": LazyCommand(
        "run", "Run every service in this process until Ctrl-C, or until all recordings have ended."
    ),
    "demo": LazyCommand(
        "demo", "Run the whole platform on five real clips, each acting as a camera of one role."
    ),
    "ingest": LazyCommand(
        "services", "Read the cameras into the frame buffer (one process of a cluster)."
    ),
    "infer": LazyCommand(
        "services", "Turn buffered frames into detections (one process of a cluster)."
    ),
    "resolve": LazyCommand(
        "services", "Turn detections into identities (one process of a cluster)."
    ),
    "insight": LazyCommand("services", "Turn identities into insights (one process of a cluster)."),
    "web": LazyCommand("web", "Serve the dashboard and the REST API (one process of a cluster)."),
    "alert": LazyCommand(
        "services",
        "Turn insights and health into alerts, and send them (one process of a cluster).",
    ),
    "settings": LazyCommand(
        "settings", "Print every setting with its default and purpose, as Markdown."
    ),
    "explain": LazyCommand(
        "explain",
        "Explain a decision: scores, margin, gate, thresholds, and what would have changed it.",
    ),
    "metrics": LazyCommand(
        "metrics", "List the metrics: what each counts, and what it leaves out."
    ),
    "why": LazyCommand(
        "why", "Explain a figure: what it counts, what it leaves out, and when nothing was watched."
    ),
    "heatmap": LazyCommand(
        "heatmap", "Show where people were, in person-hours; cells of few people are left out."
    ),
    "replay": LazyCommand(
        "replay",
        "Replay recorded detections under present and changed settings; nothing live is changed.",
    ),
    "topics": LazyCommand("topics", "Topics on Kafka: create and check them."),
    "topology": LazyCommand("topology", "Camera topology: distances and overlaps."),
    "footfall": LazyCommand("footfall", "Footfall: figures of a day, audit of lines."),
    "devservers": LazyCommand(
        "devservers", "Redis and Kafka on this machine, for trials and tests."
    ),
    "gallery": LazyCommand("gallery", "Face gallery: inspect and move it."),
    "customers": LazyCommand("customers", "Customers: enrollment, merging and erasure."),
    "models": LazyCommand("models", "Neural networks: licenses, downloads, calibration."),
    "report": LazyCommand("report", "Reports: figures of a period as tables, files and pages."),
    "events": LazyCommand("events", "Events: show them, and print their schema."),
    "transactions": LazyCommand("transactions", "Receipts of tills: import them."),
    "context": LazyCommand(
        "context", "Context of figures: weather, staff hours, promotions, targets."
    ),
    "users": LazyCommand("users", "Users of the web: add, change, list."),
    "tokens": LazyCommand("users", "API tokens: create, list, revoke."),
    "alerts": LazyCommand("alerts", "Alerts: list, acknowledge, mute, try channels."),
    "mcp": LazyCommand(
        "mcp", "Serve figures of a shop to language models (MCP), over standard input and output."
    ),
    "audit": LazyCommand("audit", "Audit log of operations on personal data."),
    "twin": LazyCommand("twin", "Digital twin: a simulated shop with ground truth."),
    "eval": LazyCommand("evaluate", "Score the platform against ground truth."),
    "bench": LazyCommand("bench", "Benchmarks of this machine."),
}

app = typer.Typer(
    name="trinetra",
    cls=lazy_group(_COMMANDS),
    no_args_is_help=True,
    # Typer's own tracebacks could print local variables, and with them secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it with the flag's value
    if wanted:
        print_text(f"trinetra {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Retail analytics from the cameras you already have."""
    if debug:
        os.environ["TRINETRA_DEBUG"] = "1"


def run_command_line() -> None:
    """Run the command line and exit with 0, with 1 for a failure or with 2 for wrong usage."""
    try:
        app()
    except TrinetraError as failure:
        if _debugging():
            raise
        complain(mask_urls(str(failure)))
        sys.exit(1)
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)


def _debugging() -> bool:
    """Return whether tracebacks are wanted, even where the settings cannot be read."""
    return os.environ.get("TRINETRA_DEBUG", "").lower() in {"1", "true", "yes", "on"}


def _discard_output() -> None:
    """Keep the interpreter from flushing into the closed pipe again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
