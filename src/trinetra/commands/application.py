"""Puts the groups of commands together and answers for their failures."""

import os
import sys
from typing import Annotated

import typer

from trinetra import __version__
from trinetra.commands import (
    audit,
    bench,
    calibrate,
    customers,
    demo,
    devservers,
    enrollment,
    evaluate,
    events,
    explain,
    forget,
    gallery,
    models,
    replay,
    run,
    services,
    settings,
    site,
    topics,
    topology,
    twin,
)
from trinetra.commands.console import complain, print_text
from trinetra.errors import TrinetraError
from trinetra.telemetry import mask_urls

app = typer.Typer(
    name="trinetra",
    no_args_is_help=True,
    # Typer's own tracebacks could print local variables, and with them secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    site,
    run,
    demo,
    services,
    settings,
    topics,
    topology,
    devservers,
    gallery,
    customers,
    enrollment,
    models,
    calibrate,
    events,
    explain,
    audit,
    forget,
    replay,
    twin,
    evaluate,
    bench,
):
    group.register(app)


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
    """Turn the cameras a shop already has into answers."""
    if debug:
        os.environ["TRINETRA_DEBUG"] = "1"


def run_command_line() -> None:
    """Carry out what the arguments say and exit with 0, 1 for a failure or 2 for wrong usage."""
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
