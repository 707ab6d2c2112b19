"""The results of mutation testing as text and as a document."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from tests.mutants.sample import Results

from trinetra.evaluation.intervals import wilson


def summary(results: Iterable[Results], *, survivors: bool) -> str:
    """Return one line per module, with its survivors if they are asked for."""
    lines: list[str] = []
    for result in results:
        lines.append(f"{result.module}: {result.killed} of {result.tested} killed{_left(result)}")
        if survivors:
            for each in result.survivors:
                lines += [f"  {each.name}", f"    - {each.was}", f"    + {each.became}"]
    return "\n".join(lines) + "\n"


def _left(result: Results) -> str:
    return f", {result.equivalent} equivalent" if result.equivalent else ""


def page(results: Sequence[Results], sample: int, seed: int) -> str:
    """Return the document."""
    return "\n".join((*_head(sample, seed), *_table(results))) + "\n"


def _head(sample: int, seed: int) -> Iterator[str]:
    yield "# Mutation tests"
    yield ""
    yield "<!-- Written by `make mutants ARGS=--write`; do not edit. -->"
    yield ""
    yield _wrapped(
        "A mutant is the code with one small change: `<=` for `<`, `or` for `and`, an argument "
        "left out. It is killed when a unit test fails. One that survives shows a line that tests "
        "run but do not check."
    )
    yield ""
    size = f"at most {sample} mutants of each module, drawn with seed {seed}" if sample else "all"
    yield _wrapped(
        f"Tested by [mutmut](https://github.com/boxed/mutmut): {size}, with the tests that "
        "`[tool.mutmut]` in `pyproject.toml` names. The goal is 85 % killed. The interval contains "
        "the share of all mutants of a module 95 times in 100 (Wilson). mutmut changes neither "
        "constants and class fields, nor properties and other decorated functions. Equivalent "
        "mutants behave as the code does and are not counted; `tests/mutants/equivalent.toml` has "
        "the reason for each."
    )
    yield ""
    yield _wrapped(
        "Tests are added for the survivors of this sample, so fewer of the mutants outside it are "
        "killed. Another `--seed` draws a sample that no test was written for."
    )
    yield ""


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _table(results: Sequence[Results]) -> Iterator[str]:
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d}."
    yield ""
    yield "| module | mutants | tested | killed | share | 95 % interval | equivalent |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for folder, group in groupby(results, lambda r: r.module.rpartition("/")[0]):
        members = list(group)
        yield from (_row(f"`{r.module}`", [r]) for r in members)
        if len(members) > 1:
            yield _row(f"**{folder}**", members)
    yield _row("**all**", results)


def _row(name: str, results: Sequence[Results]) -> str:
    mutants, tested = sum(r.mutants for r in results), sum(r.tested for r in results)
    killed, equivalent = sum(r.killed for r in results), sum(r.equivalent for r in results)
    low, high = wilson(killed, tested)
    share = f"{killed / tested:.0%}" if tested else ""
    interval = f"{low:.0%} to {high:.0%}" if tested else ""
    cells = (name, mutants, tested, killed, share, interval, equivalent)
    return "| " + " | ".join(map(str, cells)) + " |"
