"""Generates the twin's section of the page about accuracy, so that the two cannot differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from trinetra.benchmarks.accuracy import ERRORS, Band, bands

_HEAD = """## On the digital twin

`trinetra eval baseline` writes this section and `benchmarks/accuracy.json`; do not edit either. The
simulated shoppers of the digital twin (`docs/twin.md`) walk through the built-in shop. The real
resolver and insight engine process the simulated detections of its cameras, and their events are
scored against the twin's ground truth. `docs/evaluation.md` defines each score.

The twin's cameras miss, jitter, merge and invent boxes as measured on labeled footage, but the twin
is a model: scores on labeled footage are better evidence, and where the two disagree, believe the
footage.

Identity F1 is given three times: over all boxes, over those of cameras that read faces, and over
those of walks that showed a face. A system that identifies people by face can identify only the
last.

Every figure is the mean of {seeds} seeds, plus or minus twice its standard error. In brackets is
its range under the first of these seeds when one noise of the twin at a time is half, once, twice
or four times as strong as measured: a figure whose range is wide depends on how well the noise was
measured. A run of one seed gives the same scores each time.
"""
_SYNTHETIC = """
### With synthetic faces

Faces are drawn from statistics of real ones; this needs no photos and is what CI checks.
"""
_PHOTOS = """
### With photos of real people

Each simulated person has the photos of one real person, seen through the worker's own face finder
and embedder; people without photos have synthetic faces. Where the two tables disagree
about identity, believe this one.
"""
_REPRODUCE = """
### Reproduce it

    trinetra eval baseline              # all stores and noises; takes about half an hour
    trinetra eval baseline --faces DIR  # the second table, too
    trinetra eval baseline --check      # the small store alone, against the committed figures

`--check` fails when a score of the small store, as it is or with some noises four times as strong,
is worse than the committed one of the same seed by more than its noise, twice the deviation between
seeds. A test in CI does the same. Commit a new baseline along with a change that improves scores.
"""


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the section."""
    stores, photos = document["stores"], document.get("photos", {})
    seeds = max(len(store["seeds"]) for store in stores.values())
    parts = [_HEAD.format(seeds=seeds), _SYNTHETIC, *_section(stores)]
    if photos:
        parts += [_PHOTOS, *_section(photos)]
    return "".join([*parts, _REPRODUCE])


def _section(stores: Mapping[str, Any]) -> Iterator[str]:
    yield "\n" + "\n".join(_table(stores)) + "\n"
    yield "\nThe noise that moves each score most, and where to:\n\n"
    yield "\n".join(_causes(stores)) + "\n"


def _table(stores: Mapping[str, Any]) -> Iterator[str]:
    names = list(stores)
    yield "| score | better | " + " | ".join(_heading(name, stores[name]) for name in names) + " |"
    yield "| --- | --- |" + " ---: |" * len(names)
    ranges = {name: bands(stores[name]) for name in names}
    for row in _rows(stores):
        cells = (_cell(stores[name]["scores"].get(row), ranges[name].get(row)) for name in names)
        yield f"| {row.replace('_', ' ')} | {_direction(row)} | {' | '.join(cells)} |"


def _causes(stores: Mapping[str, Any]) -> Iterator[str]:
    names = list(stores)
    yield "| score | " + " | ".join(names) + " |"
    yield "| --- |" + " --- |" * len(names)
    ranges = {name: bands(stores[name]) for name in names}
    for row in _rows(stores):
        cells = (_worst(ranges[name].get(row), row) for name in names)
        yield f"| {row.replace('_', ' ')} | {' | '.join(cells)} |"


def _worst(band: Band | None, row: str) -> str:
    if band is None:
        return "not measured"
    value, cause = (band.high, band.high_at) if row in ERRORS else (band.low, band.low_at)
    return f"{value:.3f}, {cause}"


def _heading(name: str, store: Mapping[str, Any]) -> str:
    photos = f", {store['with_photos']:.0%} with photos" if store["with_photos"] else ""
    return f"{name} ({store['shoppers_per_hour']:g} shoppers/h, {store['hours']:g} h{photos})"


def _rows(stores: Mapping[str, Any]) -> list[str]:
    rows = {row for store in stores.values() for row in store["scores"]}
    return sorted(rows, key=lambda row: (row in ERRORS, row))


def _direction(row: str) -> str:
    return "low" if row in ERRORS else "high"


def _cell(score: Mapping[str, float] | None, band: Band | None) -> str:
    if score is None:
        return "not measured"
    span = f" [{band.low:.3f}, {band.high:.3f}]" if band else ""
    return f"{score['mean']:.3f} ± {2 * score['standard_error']:.3f}{span}"
