"""``trinetra eval baseline``: measures or checks the committed scores on the digital twin."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from trinetra import __version__
from trinetra.benchmarks.accuracy import SEEDS, STORES, measure, shortfalls, summarise
from trinetra.benchmarks.accuracy_page import as_markdown
from trinetra.commands.console import note, print_text
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.telemetry import configure_logging

CHECKED_STORE, CHECKED_SEED = "small", SEEDS[0]

_File = Annotated[Path, typer.Option("--file", help="The committed scores.")]
_Real = Annotated[Path, typer.Option("--real", help="The scores on real footage, for the page.")]
_Page = Annotated[Path, typer.Option("--page", help="The page with the scores.")]
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
    check: _Check = False,
) -> None:
    """Score the pipeline on the digital twin: small, medium and busy store."""
    configure_logging(as_json=False, level="ERROR")
    if check:
        check_baseline(file)
        return
    document = measure_all()
    try:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        page.write_text(as_markdown(read_document(real), document), encoding="utf-8")
    except OSError as cause:
        raise StorageFull(f"{cause.filename} cannot be written: {cause.strerror}") from cause
    note(f"wrote {file} and {page}")


def measure_all() -> dict[str, Any]:
    """Return the scores of every store under every seed."""
    stores = {}
    for name, store in STORES.items():
        runs = {}
        for seed in SEEDS:
            note(f"{name} store, seed {seed}")
            runs[seed] = measure(store, seed)
        stores[name] = {
            "shoppers_per_hour": store.shoppers_per_hour,
            "hours": store.hours,
            "seeds": list(SEEDS),
            "scores": summarise(runs),
        }
    return {"trinetra": __version__, "stores": stores}


def check_baseline(file: Path) -> None:
    """Measure the small store again; raises ConfigurationError naming every score that fell."""
    expected = _read(file)
    scores = measure(STORES[CHECKED_STORE], CHECKED_SEED)
    worse = shortfalls(scores, expected, CHECKED_SEED)
    if worse:
        told = "; ".join(
            f"{name} is {now:.4f}, was {before:.4f} (noise {noise:.4f})"
            for name, (now, before, noise) in worse.items()
        )
        raise ConfigurationError(
            f"worse than {file}: {told}. Fix it or, if it is intended, run `trinetra eval baseline`"
        )
    print_text(f"no score of the {CHECKED_STORE} store is worse than in {file}\n")


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


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(read_document(file)["stores"][CHECKED_STORE]["scores"])
    except (ValueError, KeyError, TypeError) as cause:
        raise ConfigurationError(f"{file} is not a baseline: {cause}") from cause
