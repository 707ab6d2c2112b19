"""``python -m tests.mutants``: test a sample of mutants of each module, and report the shares."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.mutation.trampoline import set_mutant_under_test
from tests.mutants.report import page, summary
from tests.mutants.sample import draw, forget_survivors, modules

SAMPLE = 30
SEED = 11
PAGE = Path("docs/mutants.md")


def main() -> None:
    """Test what is left of the sample of the modules asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of module names, such as gate.topology")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants per module, 0 for all")
    parser.add_argument("--seed", type=int, default=SEED, help="of the drawing")
    parser.add_argument("--seconds", type=float, help="stop after that long; the next run goes on")
    parser.add_argument("--retest", action="store_true", help="test survivors again: tests changed")
    parser.add_argument("--survivors", action="store_true", help="show the changes that survived")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE} if all were tested")
    asked = parser.parse_args()
    generate()
    chosen = {m.name for m in modules() if not asked.names or any(n in m.name for n in asked.names)}
    for module in modules():
        if asked.retest and module.name in chosen:
            forget_survivors(module)
        draw(module, asked.sample, asked.seed, wanted=module.name in chosen)
    finished = run(asked.seconds)
    results = [module.results(asked.sample, asked.seed) for module in modules()]
    shown = [result for result in results if result.module in chosen]
    sys.stdout.write(summary(shown, survivors=asked.survivors))
    if asked.write and finished:
        PAGE.write_text(page(results, asked.sample, asked.seed))
    sys.exit(0 if finished else "stopped before all mutants were tested: run it again to go on")


def generate() -> None:
    """Write the mutated sources to ``mutants/``; unchanged functions keep their results.

    mutmut records once which tests reach a function, and knows of no test for a new one.
    """
    Path("mutants").mkdir(exist_ok=True)
    set_mutant_under_test("mutant_generation")
    copy_src_dir()
    copy_also_copy_files()
    if create_mutants(max_children=1).mutated:
        Path("mutants", "mutmut-stats.json").unlink(missing_ok=True)


def run(seconds: float | None) -> bool:
    """Let mutmut test all mutants that have no result; return whether it came to the end."""
    command: Sequence[str] = [str(Path(sys.executable).with_name("mutmut")), "run"]
    with subprocess.Popen([*command, "--max-children", "1"]) as mutmut:
        try:
            return mutmut.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            mutmut.send_signal(signal.SIGINT)  # it keeps the results so far
            mutmut.wait()
            return False


if __name__ == "__main__":
    main()
