"""Output of commands: results to standard output, everything else to standard error."""

import json
import sys

from rich.console import Console
from rich.text import Text

_ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


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
    _ERRORS.print(Text.assemble(("error: ", "bold red"), message))


def note(message: str) -> None:
    """Print a message that is not an error on standard error."""
    _ERRORS.print(Text.assemble(("note: ", "bold yellow"), message))
