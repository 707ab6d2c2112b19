"""Options of a command that are grouped in a dataclass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from trinetra.commands.options import grouped_options


@dataclass(frozen=True)
class Window:
    begin: Annotated[str, typer.Option("--from", help="Where to begin.")]
    end: Annotated[str | None, typer.Option("--to")] = None


def invoke(*arguments: str) -> tuple[Result, list[object]]:
    app, calls = typer.Typer(), list[object]()

    @app.command()
    @grouped_options
    def cut(
        clip: Annotated[Path, typer.Argument(metavar="CLIP")],
        window: Window,
        *,
        seed: Annotated[int, typer.Option("--seed")] = 7,
    ) -> None:
        """Cut a clip."""
        calls.append((clip, window, seed))

    return CliRunner().invoke(app, list(arguments)), calls


def test_fields_become_options_and_arrive_as_one_object() -> None:
    result, calls = invoke("a.mp4", "--from", "1h", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert calls == [(Path("a.mp4"), Window("1h"), 3)]


def test_defaults_of_fields_and_of_parameters_hold() -> None:
    _, calls = invoke("a.mp4", "--from", "1h", "--to", "2h")
    assert calls == [(Path("a.mp4"), Window("1h", "2h"), 7)]


def test_a_field_without_a_default_is_required() -> None:
    result, calls = invoke("a.mp4")
    assert result.exit_code == 2
    assert "--from" in result.output
    assert calls == []


def test_help_shows_the_command_and_its_grouped_options() -> None:
    result, _ = invoke("--help")
    assert "Cut a clip." in result.output
    assert "Where to begin." in result.output
    assert "--window" not in result.output


def test_two_parameters_of_one_name_are_refused() -> None:
    def twice(window: Window, *, end: str) -> None:
        """Take two ends."""

    with pytest.raises(ValueError, match="duplicate parameter name: 'end'"):
        grouped_options(twice)
