"""Scores variants of the tracker's policy on labeled recordings, leaving one scene out at a time.

    python benchmarks/tune.py variants.json [--fps 5 10 25] [--dir DIR] [--json out.json]

``variants.json`` maps names to changed fields of TrackerPolicy: ``{"today": {}, "no looks":
{"looks.weight": 0.0, "buffers": [0.1, 0.3]}, "large": {"camera.frame_side": 960}}``: a name that
begins with ``camera.`` is a field of the camera in the site file. Every variant runs on every view
and rate, as production builds it, on cached detections. The left-out score of a scene is that of
the variant which is best on all other scenes: no figure of it was used to choose.
"""

import argparse
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

from trinetra.benchmarks.real import ROLE, Row, findings, score_run
from trinetra.benchmarks.stock_trackers import STOCK_TRACKERS
from trinetra.evaluation.reading.footage import find_footage
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.wiring import config
from trinetra.wiring.real_footage import Footage

_NOTES = Path(__file__).with_name("real.toml")
_SCORES = (("hota", ""), ("idf1", ""), ("mota", ""), ("f1", "crossings"), ("f1", "stays"))
_DETECTION = ("average_precision", "recall", "precision")
_COUNTS = ("id_switches", "fragmentations", "false", "missed")
_CAMERA = "camera."
_production = config.resolver_policy


class _Silent:
    def begin(self, label: str, total_bytes: int | None) -> None: ...
    def advance(self, label: str, done_bytes: int) -> None: ...
    def end(self, label: str) -> None: ...
    def note(self, message: str) -> None: ...


def changed(policy: Any, changes: dict[str, Any]) -> Any:
    """Return a policy with some of its fields changed; a dot leads into a nested policy."""
    nested: dict[str, dict[str, Any]] = defaultdict(dict)
    plain = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if rest:
            nested[head][rest] = value
        else:
            plain[head] = tuple(value) if isinstance(value, list) else value
    plain |= {head: changed(getattr(policy, head), inner) for head, inner in nested.items()}
    return replace(policy, **plain)


def divided(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the changes of the camera's entry in the site file, and those of the tracker."""
    camera = {
        name.removeprefix(_CAMERA): value
        for name, value in changes.items()
        if name.startswith(_CAMERA)
    }
    return camera, {n: value for n, value in changes.items() if not n.startswith(_CAMERA)}


def run_one(task: tuple[str, dict[str, Any] | None, str, float, str]) -> list[tuple[str, Row]]:
    """Return the rows of one variant (or, for None, of the stock trackers) on one view."""
    name, changes, view_name, fps, folder = task
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings().model_copy(update={"log_level": "ERROR"})
    views = {view.name: view for view in find_footage(Path(folder), _NOTES).views}
    footage = Footage(settings, _Silent())

    camera, tracker = divided(changes or {})

    def policy(site: Any) -> Any:
        usual = _production(site)
        return replace(usual, tracker=changed(usual.tracker, tracker))

    config.resolver_policy = policy
    run = footage.run(views[view_name], fps, ROLE, camera)
    stock = tuple(STOCK_TRACKERS) if changes is None else ()
    rows = score_run(run, findings(footage, run), stock, intervals=False)
    return [(row.tracker, row) for row in rows[1:]] if changes is None else [(name, rows[0])]


def total(rows: list[Row], scores: Sequence[tuple[str, str]]) -> float:
    """Return the mean of the shares that were measured, views and rates with equal weight."""
    means = []
    for row in rows:
        values = [v for s in scores if (v := row.value(*s)) is not None]
        if values:
            means.append(fmean(values))
    return fmean(means) if means else nan


def report(rows: dict[str, list[Row]], variants: list[str]) -> None:
    """Print each variant on each scene, then the left-out scores."""
    shown = (*((name, "") for name in _DETECTION), *_SCORES)
    names = [f"{n}{'/' + of if of else ''}" for n, of in shown]
    print(
        f"{'variant':24} {'view':28} {'fps':>4} "
        + " ".join(f"{n[:12]:>12}" for n in (*names, *_COUNTS))
    )
    for name, of_variant in rows.items():
        for row in sorted(of_variant, key=lambda r: (r.view, r.fps)):
            cells = [row.value(*s) for s in shown] + [row.value(n) for n in _COUNTS]
            told = " ".join(f"{'-' if c is None else format(c, '.3f'):>12}" for c in cells)
            print(f"{name:24} {row.view:28} {row.fps:4g} {told}")
    report_scenes(rows, variants, _SCORES[:3])
    report_scenes({name: rows[name] for name in variants}, variants, _SCORES)


def report_scenes(
    rows: dict[str, list[Row]], variants: list[str], scores: Sequence[tuple[str, str]]
) -> None:
    """Print the mean of each variant in each scene, then the left-out scores."""
    scenes = sorted({row.scene for of_variant in rows.values() for row in of_variant})
    means = {
        (name, scene): total([r for r in of_variant if r.scene == scene], scores)
        for name, of_variant in rows.items()
        for scene in scenes
    }
    print(f"\nmean of {', '.join(f'{n} {of}'.strip() for n, of in scores)} by scene")
    print(f"{'':24} " + " ".join(f"{scene:>16}" for scene in scenes))
    for name in rows:
        print(f"{name:24} " + " ".join(f"{means[name, scene]:16.4f}" for scene in scenes))
    if len(scenes) == 1:
        return
    left_out = []
    for scene in scenes:
        others = [s for s in scenes if s != scene]
        best = max(variants, key=lambda v: fmean(means[v, s] for s in others))
        left_out.append(means[best, scene])
        print(f"left out {scene:16} chosen on the others: {best:24} {means[best, scene]:.4f}")
    print(f"left-out mean {fmean(left_out):.4f}")


def main() -> None:
    """Read the arguments, run all variants in parallel, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", type=Path)
    parser.add_argument("--fps", type=float, nargs="+", default=[5.0, 10.0, 25.0])
    parser.add_argument("--dir", type=Path, default=load_settings().real_dir)
    parser.add_argument("--views", nargs="*", default=None)
    parser.add_argument("--no-stock", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    variants: dict[str, dict[str, Any] | None] = json.loads(given.variants.read_text())
    names = list(variants)
    if not given.no_stock:
        variants["stock"] = None
    views = [
        v for v in find_footage(given.dir, _NOTES).views if not given.views or v.name in given.views
    ]
    tasks = [
        (name, changes, view.name, fps, str(given.dir))
        for view in views
        for fps in given.fps
        for name, changes in variants.items()
        if changes is not None or view.labels is not None
    ]
    rows: dict[str, list[Row]] = defaultdict(list)
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for found in pool.imap_unordered(run_one, tasks, chunksize=len(variants)):
            for name, row in found:
                rows[name].append(row)
    report(rows, names)
    if given.json:
        document = {name: [row.as_json() for row in of] for name, of in rows.items()}
        given.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
