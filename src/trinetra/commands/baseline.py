"""``trinetra eval baseline``: measures or checks the committed scores on the digital twin."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

from trinetra import __version__
from trinetra.benchmarks.accuracy import (
    FACTORS,
    STORES,
    SWEPT_SEED,
    Run,
    measure,
    measure_store,
    shortfalls,
)
from trinetra.benchmarks.accuracy_page import as_markdown
from trinetra.commands.console import note, print_text
from trinetra.commands.portraits import portraits_in
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.twin.portraits import Portraits

CHECKED_STORE, CHECKED_FACTOR = "small", FACTORS[-1]
CHECKED_NOISES = ("misses", "boxes", "blur")
"""A sweep of all noises takes too long for CI: these three cover detection, tracking and faces."""

_File = Annotated[Path, typer.Option("--file", help="The committed scores.")]
_Real = Annotated[Path, typer.Option("--real", help="The scores on real footage, for the page.")]
_Page = Annotated[Path, typer.Option("--page", help="The page with the scores.")]
_Faces = Annotated[
    list[Path] | None,
    typer.Option(
        "--faces",
        help="A folder with a folder of photos for each person; measured once more with them.",
    ),
]
_Store = Annotated[
    list[str] | None,
    typer.Option("--store", help="Measure only this store, and keep the scores of the others."),
]
_Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; fail if the small store's scores fell.")
]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``eval``."""
    group.command("baseline")(baseline)


def baseline(
    *,
    file: _File = Path("benchmarks/accuracy.json"),
    real: _Real = Path("benchmarks/real.json"),
    page: _Page = Path("docs/accuracy.md"),
    faces: _Faces = None,
    store: _Store = None,
    check: _Check = False,
) -> None:
    """Score the pipeline on the digital twin: small, medium and busy store."""
    configure_logging(as_json=False, level="ERROR")
    if check:
        check_baseline(file)
        return
    if unknown := sorted(set(store or ()) - set(STORES)):
        raise ConfigurationError(f"--store {unknown[0]}: choose {', '.join(STORES)}")
    names = tuple(name for name in STORES if not store or name in store)
    portraits = portraits_in(faces, load_settings()) if faces else None
    document = updated(read_document(file) if store else {}, names, portraits)
    try:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        page.write_text(as_markdown(read_document(real), document), encoding="utf-8")
    except OSError as cause:
        raise StorageFull(f"{cause.filename} cannot be written: {cause.strerror}") from cause
    note(f"wrote {file} and {page}")


def updated(
    document: dict[str, Any], stores: Sequence[str], portraits: Portraits | None
) -> dict[str, Any]:
    """Return the scores of some stores, with those of the others as they were."""
    plain, photos = dict(document.get("stores", {})), dict(document.get("photos", {}))
    for name in stores:
        plain[name] = measure_store(STORES[name], None, _measured(name))
        if portraits is not None:
            photos[name] = measure_store(STORES[name], portraits, _measured(f"{name} (photos)"))
    return {"trinetra": __version__, "stores": _by_size(plain), "photos": _by_size(photos)}


def _by_size(stores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores in the order of STORES, in whatever order they were measured."""
    return {name: stores[name] for name in STORES if name in stores}


def _measured(name: str) -> Callable[[Sequence[Run]], list[dict[str, float]]]:
    """Return a function that measures runs of a store, as many at once as there are cores."""

    def measure_all(runs: Sequence[Run]) -> list[dict[str, float]]:
        note(f"{name} store: {len(runs)} runs")
        # Each is a process of its own: they share nothing, and Python computes in one thread.
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as processes:
            return list(processes.map(measure, runs))

    return measure_all


def check_baseline(file: Path) -> None:
    """Measure the small store again; raises ConfigurationError naming every score that fell.

    It is measured as it is, and with some noises four times as strong.
    """
    expected = _read(file)
    runs = [("", 1.0), *((noise, CHECKED_FACTOR) for noise in CHECKED_NOISES)]
    told = []
    for noise, factor in runs:
        scores = measure(Run(STORES[CHECKED_STORE], SWEPT_SEED, noise, factor))
        before = _under(expected, noise, factor)
        told += [
            f"{name} is {now:.4f}, was {was:.4f} (noise {chance:.4f}){_at(noise, factor)}"
            for name, (now, was, chance) in shortfalls(scores, before, SWEPT_SEED).items()
        ]
    if told:
        raise ConfigurationError(
            f"worse than {file}: {'; '.join(told)}. Fix it or, if it is intended, run "
            "`trinetra eval baseline`"
        )
    print_text(f"no score of the {CHECKED_STORE} store is worse than in {file}\n")


def _at(noise: str, factor: float) -> str:
    return f" with {noise} x{factor:g}" if noise else ""


def _under(store: Mapping[str, Any], noise: str, factor: float) -> dict[str, Any]:
    """Return the expected scores under a noise, each with its value and what may be chance."""
    if not noise:
        return dict(store["scores"])
    swept = store["sweep"][noise][f"{factor:g}"]
    return {
        name: {"by_seed": {str(SWEPT_SEED): value}, "noise": store["scores"][name]["noise"]}
        for name, value in swept.items()
        if name in store["scores"]
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        store = dict(read_document(file)["stores"][CHECKED_STORE])
        _ = [_under(store, noise, CHECKED_FACTOR) for noise in ("", *CHECKED_NOISES)]
    except (KeyError, TypeError) as cause:
        raise ConfigurationError(f"{file} is not a baseline: {cause}") from cause
    return store


def read_document(file: Path) -> dict[str, Any]:
    """Return a committed baseline. Raises ConfigurationError if it cannot be read."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except OSError as cause:
        reason = cause.strerror
        raise ConfigurationError(
            f"{file} cannot be read: {reason}; run it in the repository"
        ) from cause
    except (ValueError, TypeError) as cause:
        raise ConfigurationError(f"{file} is not a baseline: {cause}") from cause
