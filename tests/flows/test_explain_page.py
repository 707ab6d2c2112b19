"""The commands in the documentation of explanations work as written."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trinetra.commands.application import app

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
ANY_ID = "idn_0123456789abcdef01234567"


def commands() -> list[str]:
    snippets = re.findall(r"<!-- tested -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for snippet in snippets for line in snippet.splitlines()]


def run(command: str) -> str:
    result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_on_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRINETRA_DATA_DIR", str(tmp_path / "data"))
    simulate, replay, tail, explain = commands()
    run(simulate)
    assert "tracks would be decided differently" in run(replay)
    decided = re.findall(r"idn_[0-9a-f]{24}", run(tail))
    assert "What would have changed it" in run(explain.replace(ANY_ID, decided[0]))
