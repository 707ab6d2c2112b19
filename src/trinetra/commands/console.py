"""Output of commands: results to standard output, everything else to standard error.

Where logs are JSON lines, messages are log entries too, so that every line can be parsed.
"""

import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:  # every command prints, but only services log
    from trinetra.telemetry import BoundLogger

_ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


class _Messages:
    log: "BoundLogger | None" = None


def send_messages_to(log: "BoundLogger | None") -> None:
    """Send messages to a log instead of printing them; None prints them again."""
    _Messages.log = log


def logs_messages() -> bool:
    """Return whether messages are log entries, among which nothing else may be printed."""
    return _Messages.log is not None


def output() -> Console:
    """Return a console on the present standard output."""
    return Console(highlight=False)


def say(text: str) -> None:
    """Print a line unchanged and unwrapped."""
    output().print(text, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document for a machine to read."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    """Print text unchanged, for a file or a pipe."""
    sys.stdout.write(text)


def complain(message: str) -> None:
    """Print an error message on standard error."""
    if _Messages.log is not None:
        _Messages.log.error("failed", error=message)
        return
    _ERRORS.print(Text.assemble(("error: ", "bold red"), message))


def note(message: str) -> None:
    """Print a message that is not an error on standard error."""
    if _Messages.log is not None:
        _Messages.log.info("note", text=message)
        return
    _ERRORS.print(Text.assemble(("note: ", "bold yellow"), message))
