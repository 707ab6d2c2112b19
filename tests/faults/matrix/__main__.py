"""``python -m tests.faults.matrix``: run the crash matrix and write its results down."""

import argparse
import asyncio
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
    parser.add_argument("--page", type=Path, help="write the document here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--keep", type=Path, help="keep the logs of all processes in this folder")
    asked = parser.parse_args()
    configure_logging(as_json=False, level="ERROR")
    extent = SHORT if asked.short else LONG
    rows = [row for row in ROWS if not asked.row or row.fault.__name__ in asked.row]
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
