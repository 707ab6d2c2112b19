"""Mutants of the configured modules: the seeded sample of each module, and its results."""

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

_SKIPPED = 34
"""mutmut's exit code of a mutant that is not to be tested."""
_KILLED = frozenset({"killed", "timeout"})
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: its function, what the line was, and what it became."""

    name: str
    function: str
    was: str
    became: str


@dataclass(frozen=True)
class Results:
    """The sample of one module: how many of ``mutants`` were tested and killed.

    ``equivalent`` are those that change nothing, each with its reason in ``equivalent.toml``; they
    are not among the ``tested``.
    """

    module: str
    mutants: int
    tested: int
    killed: int
    equivalent: int
    survivors: tuple[Survivor, ...]


@dataclass(frozen=True)
class Module:
    """One module and mutmut's record of its mutants."""

    name: str
    data: SourceFileMutationData

    def sample(self, size: int, seed: int) -> frozenset[str]:
        """Return ``size`` mutants, the same for the same seed and code; all if ``size`` is 0.

        A larger sample contains the smaller ones, so that results count for both.
        """
        names = sorted(self.data.exit_code_by_key)
        # No secret is drawn here; the seed must give the same mutants again.
        random.Random(f"{seed} {self.name}").shuffle(names)
        return frozenset(names[: size or None])

    def results(self, size: int, seed: int) -> Results:
        """Return what became of the sample so far."""
        status = {
            name: status_by_exit_code[self.data.exit_code_by_key[name]]
            for name in sorted(self.sample(size, seed))
        }
        tested = [name for name in status if status[name] not in {"not checked", "skipped"}]
        killed = sum(status[name] in _KILLED for name in tested)
        left = [_survivor(self, name) for name in tested if status[name] not in _KILLED]
        noticeable = tuple(s for s in left if not _is_equivalent(s))
        equivalent = len(left) - len(noticeable)
        count = len(self.data.exit_code_by_key)
        return Results(self.name, count, len(tested) - equivalent, killed, equivalent, noticeable)


def modules() -> Iterator[Module]:
    """Yield the modules that have mutants."""
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        if data.exit_code_by_key:
            yield Module(str(path.relative_to("src/trinetra").with_suffix("")), data)


def draw(module: Module, size: int, seed: int, *, wanted: bool) -> None:
    """Let mutmut skip all mutants without a result, except the sample of a wanted module."""
    sample = module.sample(size, seed) if wanted else frozenset()
    codes = module.data.exit_code_by_key
    for name, code in codes.items():
        if code in {None, _SKIPPED}:
            codes[name] = None if name in sample else _SKIPPED
    module.data.save()


def forget_survivors(module: Module) -> None:
    """Let mutmut test the survivors again, because tests have changed."""
    codes = module.data.exit_code_by_key
    for name, code in codes.items():
        if code != _SKIPPED and status_by_exit_code[code] not in _KILLED:
            codes[name] = None
    module.data.save()


def _survivor(module: Module, name: str) -> Survivor:
    lines = str(get_diff_for_mutant(name, path=module.data.path)).splitlines()[2:]
    was = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    became = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    function = name.partition("__mutmut_")[0].removeprefix("trinetra.")
    return Survivor(
        name, function.replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", "."), was, became
    )


def _is_equivalent(survivor: Survivor) -> bool:
    """Return whether a mutant is listed, or differs only in what a listed rule ignores."""
    mutants, ignored = _equivalent()
    if (survivor.function, survivor.became) in mutants:
        return True
    return any(rule.sub("", survivor.was) == rule.sub("", survivor.became) for rule in ignored)


@cache
def _equivalent() -> tuple[frozenset[tuple[str, str]], tuple[re.Pattern[str], ...]]:
    listed = tomllib.loads(EQUIVALENT.read_text())
    mutants = frozenset((row["function"], row["became"]) for row in listed["mutant"])
    return mutants, tuple(re.compile(row["ignores"]) for row in listed["rule"])
