"""``python -m tests.faults.matrix``: run the crash matrix and write its results down."""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tests.faults.matrix.report import page
from tests.faults.matrix.rows import LONG, ROWS, SHORT, Extent, Row
from tests.faults.matrix.run import CLIP_FPS, SPEED, Result, World, run_row
from tests.faults.matrix.servers import serving

from trinetra.commands.progress import FetchProgress
from trinetra.devservers.kafka import find_kafka
from trinetra.models.samples import ensure_clips
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.wiring.profiles import choose_profile, ensure_models


def main() -> None:
    """Run the rows asked for; the exit code is 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.add_argument("--short", action="store_true", help="one kill of each, short absences")
    parser.add_argument("--row", action="append", default=[], help="only rows of this name")
    parser.add_argument("--random", type=int, metavar="N", help="only N rows, drawn by --seed")
    parser.add_argument("--seed", type=int, help="of the drawing (default: a new one, printed)")
    parser.add_argument("--page", type=Path, help="write the document here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--keep", type=Path, help="keep the logs of all processes in this folder")
    asked = parser.parse_args()
    configure_logging(as_json=False, level="ERROR")
    extent = SHORT if asked.short else LONG
    rows = [row for row in ROWS if not asked.row or row.fault.__name__ in asked.row]
    if asked.random is not None:
        rows = drawn(rows, asked.random, asked.seed)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="trinetra-faults-") as folder:
        for result in run(rows, extent, asked.keep or Path(folder)):
            results.append(result)
            if asked.page:
                asked.page.write_text(page(results, extent, fps=CLIP_FPS, speed=SPEED))
            if asked.json:
                written = msgspec.json.format(msgspec.json.encode(results))
                asked.json.write_bytes(written + b"\n")
    sys.exit(any(result.figures.faults for result in results))


def drawn(rows: list[Row], count: int, seed: int | None) -> list[Row]:
    """Return ``count`` of the rows in their order, drawn at random; tell how to repeat it."""
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    # No secret is drawn here; the seed must give the same rows again.
    chosen = set(random.Random(seed).sample(range(len(rows)), min(count, len(rows))))
    kept = [row for number, row in enumerate(rows) if number in chosen]
    names = ", ".join(row.fault.__name__ for row in kept)
    sys.stdout.write(f"rows of --random {count} --seed {seed}: {names}\n")
    sys.stdout.flush()
    return kept


def run(rows: list[Row], extent: Extent, folder: Path) -> Iterator[Result]:
    """Run rows one after the other on one set of servers, telling of each."""
    settings = load_settings()
    with FetchProgress() as progress:
        ensure_models(choose_profile(settings), settings, progress)
        clips = ensure_clips(settings.samples_dir, settings.cache_dir, progress)
    with serving(folder, find_kafka(settings.cache_dir)) as servers:
        paths = {role: clip.path for role, clip in clips.items()}
        world = World(servers, paths, settings, folder)
        for row in rows:
            result = asyncio.run(run_row(world, row, extent))
            kept = ", ".join(result.figures.faults) or "all promises kept"
            recovery = ", ".join(f"{s:g}" for s in result.recovery_s) or "-"
            line = f"{result.row}: {kept}; recovery {recovery} s; {result.seconds:g} s\n"
            sys.stdout.write(line)
            sys.stdout.flush()
            yield result


if __name__ == "__main__":
    main()
