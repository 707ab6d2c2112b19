"""The command ``trinetra``: signals and exit codes, from its first moment to its last."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_STDERR = 2
_CTRL_C = 128 + signal.SIGINT


def main() -> None:
    """Run the command line.

    The exit code is 1 for a failure, 2 for wrong usage, 129 when the terminal is gone, 130 for
    Ctrl-C and 143 for SIGTERM. A platform that a signal asks to stop, and that drains in order,
    ends with 0.
    """
    _die_of_signals()
    _open_closed_streams()
    # Reading the program takes a second, in which a Ctrl-C must not end in a traceback either.
    from trinetra.commands.application import run_command_line  # noqa: PLC0415

    try:
        with _signals_unwind():
            run_command_line()
    except KeyboardInterrupt:
        sys.exit(_CTRL_C)


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let a signal end the block by an exception, so that it tidies up behind itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _answer_ends(_exit)
    try:
        yield
    finally:
        _die_of_signals()  # the interpreter, while it ends, would answer with a traceback


def _die_of_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _answer_ends(signal.SIG_DFL)


def _answer_ends(answer: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, answer)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, answer)


def _open_closed_streams() -> None:
    """Lead the standard streams that a service manager has closed to nowhere.

    Otherwise the next files that are opened take their place, and get what is printed.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
