"""The page about accuracy, written from the baseline so that the two cannot differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from trinetra.benchmarks.accuracy import ERRORS

_HEAD = """# How right the platform is

`trinetra eval baseline` writes this page and `benchmarks/accuracy.json`; do not edit either. It
lets shoppers of the digital twin (`docs/twin.md`) walk through the built-in shop, gives what its
cameras would have seen to the real tracker, resolver and insight engine, and scores what those say
against the twin's truth. `docs/evaluation.md` tells what each score means.

The twin's cameras miss, jitter, confuse and delay as the default networks were measured to do, but
it is a model: where you have labelled video, `trinetra eval` on that says more. No network runs
here, so no figure is about finding people or faces in pixels.

Identity F1 comes three times: over all boxes, over those of cameras that read faces, and over those
of walks that showed a face, which are all that a system that names people by face can name.

Every figure is the mean of {seeds} seeds, plus or minus twice its standard error. A run of one
seed gives the same scores each time.
"""
_REPRODUCE = """
## Reproduce it

    trinetra eval baseline              # all of it; takes some minutes
    trinetra eval baseline --check      # the small store alone, against the committed figures

`--check` fails when a score of the small store is worse than the committed one of the same seed
by more than its noise, twice the deviation between seeds; so does a test, and with it CI. A change
that makes scores better should come with a new baseline.
"""


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the page."""
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
