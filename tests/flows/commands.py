"""Runs one of the product's command groups as a user would type its commands."""

from collections.abc import Callable

import typer
from typer.testing import CliRunner, Result

from trinetra.errors import TrinetraError


class Commands:
    """A command group in an application that has only the registered commands."""

    def __init__(self, group: str, *registrations: Callable[[typer.Typer], None]) -> None:
        self.app = typer.Typer()
        self._group = group
        for register in registrations:
            register(self.app)

    def output(self, *arguments: object) -> str:
        """Return the output of a command; raises the exception it failed with."""
        return self._done(*arguments).stdout

    def output_and_notes(self, *arguments: object) -> str:
        """Return a command's terminal output; raises the exception it failed with."""
        return self._done(*arguments).output

    def failed(self, *arguments: object) -> TrinetraError:
        """Return the error that a command ended with."""
        failure = self._run(*arguments).exception
        assert isinstance(failure, TrinetraError)
        return failure

    def _done(self, *arguments: object) -> Result:
        result = self._run(*arguments)
        if result.exception is not None:
            raise result.exception
        return result

    def _run(self, *arguments: object) -> Result:
        return CliRunner().invoke(self.app, [self._group, *map(str, arguments)])
