"""One of the product's groups of commands, as somebody types them."""

from collections.abc import Callable

import typer
from typer.testing import CliRunner, Result

from trinetra.errors import TrinetraError


class Commands:
    """A group of commands in an application that has nothing but what was registered."""

    def __init__(self, group: str, *registrations: Callable[[typer.Typer], None]) -> None:
        self.app = typer.Typer()
        self._group = group
        for register in registrations:
            register(self.app)

    def output(self, *arguments: object) -> str:
        """Return what a command printed; raises what it failed of."""
        return self._done(*arguments).stdout

    def output_and_notes(self, *arguments: object) -> str:
        """Return what a command wrote to the terminal; raises what it failed of."""
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
