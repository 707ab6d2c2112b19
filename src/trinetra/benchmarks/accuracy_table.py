"""Generates the twin's section of the page about accuracy, so that the two cannot differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from trinetra.benchmarks.accuracy import ERRORS

_HEAD = """## On the digital twin

`trinetra eval baseline` writes this section and `benchmarks/accuracy.json`; do not edit either. The
simulated shoppers of the digital twin (`docs/twin.md`) walk through the built-in shop. The real
resolver and insight engine process the simulated detections of its cameras, and their events are
scored against the twin's ground truth. `docs/evaluation.md` defines each score.

The twin's cameras miss, jitter, confuse and delay as measured on the default networks, but the twin
is a model: `trinetra eval` on labeled video of your own is better evidence. No network runs here,
so no figure covers the detection of people or faces in pixels.

Identity F1 is given three times: over all boxes, over those of cameras that read faces, and over
those of walks that showed a face. A system that identifies people by face can identify only the
last.

Every figure is the mean of {seeds} seeds, plus or minus twice its standard error. A run of one
seed gives the same scores each time.
"""
_REPRODUCE = """
### Reproduce it

    trinetra eval baseline              # all stores; takes several minutes
    trinetra eval baseline --check      # the small store alone, against the committed figures

`--check` fails when a score of the small store is worse than the committed one of the same seed by
more than its noise, twice the deviation between seeds. A test in CI does the same. Commit a new
baseline along with a change that improves scores.
"""


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the section."""
    stores = document["stores"]
    seeds = max(len(store["seeds"]) for store in stores.values())
    return _HEAD.format(seeds=seeds) + "\n" + "\n".join(_table(stores)) + "\n" + _REPRODUCE


def _table(stores: Mapping[str, Any]) -> Iterator[str]:
    names = list(stores)
    yield "| score | better | " + " | ".join(_heading(name, stores[name]) for name in names) + " |"
    yield "| --- | --- |" + " ---: |" * len(names)
    rows = sorted({row for store in stores.values() for row in store["scores"]}, key=_order)
    for row in rows:
        cells = (_cell(stores[name]["scores"].get(row)) for name in names)
        direction = "low" if row in ERRORS else "high"
        yield f"| {row.replace('_', ' ')} | {direction} | {' | '.join(cells)} |"


def _heading(name: str, store: Mapping[str, Any]) -> str:
    return f"{name} ({store['shoppers_per_hour']:g} shoppers/h, {store['hours']:g} h)"


def _order(row: str) -> tuple[bool, str]:
    return row in ERRORS, row


def _cell(score: Mapping[str, float] | None) -> str:
    if score is None:
        return "not measured"
    return f"{score['mean']:.3f} ± {2 * score['standard_error']:.3f}"
