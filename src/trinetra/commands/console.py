"""Where commands print: results to standard output, everything else to standard error."""

import json
import sys

from rich.console import Console
from rich.text import Text

_ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


def output() -> Console:
    """Return the console on standard output, as it is now."""
    return Console(highlight=False)


def say(text: str) -> None:
    """Print a line as it is, however long."""
    output().print(text, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document for a machine to read."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    """Print text as it is, for a file or a pipe."""
    sys.stdout.write(text)


def complain(message: str) -> None:
    """Tell the user what went wrong, on standard error."""
    _ERRORS.print(Text.assemble(("error: ", "bold red"), message))


def note(message: str) -> None:
    """Tell the user something that is no error, on standard error."""
    _ERRORS.print(Text.assemble(("note: ", "bold yellow"), message))
