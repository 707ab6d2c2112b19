"""The examples of docs/python.md and docs/notebook.ipynb run as they are printed."""

import ast
import asyncio
import json
import re
from pathlib import Path

import pytest
from tests.flows.api_shop import NOON, write_shop

import trinetra

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "python.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_on_figures_insights_and_reasons_run(folder: Path) -> None:
    names: dict = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102 -- our own page
    assert names["busiest"] == NOON
    assert len(names["frame"]) == 24
    assert names["crossings"].num_rows == 7
    assert names["found"].is_exact


@pytest.mark.clips
@pytest.mark.weights
def test_the_example_on_clips_runs(folder: Path, clips_dir: Path, models_dir: Path) -> None:
    (folder / "clip.mp4").symlink_to(clips_dir / "face-demographics-walking-and-pause.mp4")
    names: dict = {"trinetra": trinetra}
    [block] = blocks("python clip")
    exec(block, names)  # noqa: S102 -- our own page
    assert names["stays"].num_rows > 0
    assert names["score"].sheet.value("agreement", "people recognized (customers)") == 1.0


async def run_cells(sources: list[str]) -> list[object]:
    """Return the last value of each cell, run where an event loop runs, as Jupyter does."""
    names: dict = {}
    values: list[object] = []
    for source in sources:
        *steps, last = ast.parse(source).body
        if not isinstance(last, ast.Expr):
            steps.append(last)
        exec(compile(ast.Module(steps, []), "cell", "exec"), names)  # noqa: S102 -- our own
        is_value = isinstance(last, ast.Expr)
        values.append(eval(ast.unparse(last), names) if is_value else None)  # noqa: S307
    return values


def test_the_notebook_runs_and_shows_the_day(folder: Path) -> None:
    cells = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    _, hours, crossings, figure, left_out, gaps, _ = asyncio.run(run_cells(code))
    assert hours["value"].tolist() == [5.0]
    assert len(crossings) == 7
    assert figure == (5.0, True)
    assert ("e5", "staff") in left_out
    assert [reason for *_, reason in gaps] == ["silent"]


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
