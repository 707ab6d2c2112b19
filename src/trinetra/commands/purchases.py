"""``trinetra eval purchases``: scores the attribution of receipts on the digital twin."""

from typing import Annotated

import typer

from trinetra.benchmarks.purchases import STORES, measure_run, scores_of
from trinetra.commands.console import note
from trinetra.commands.score_table import print_sheet
from trinetra.errors import ConfigurationError
from trinetra.evaluation.scores import ScoreSheet
from trinetra.telemetry import configure_logging


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``eval``."""
    group.command("purchases")(purchases)


def purchases(
    *,
    store: Annotated[str, typer.Option("--store", help="small, medium or busy.")] = "medium",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=50, help="How many runs.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score the attribution of receipts to people on the digital twin."""
    configure_logging(as_json=False, level="ERROR")
    if store not in STORES:
        raise ConfigurationError(f"--store {store}: choose {', '.join(STORES)}")
    runs = []
    for seed in range(1, seeds + 1):
        note(f"{store} store: run {seed} of {seeds}")
        runs.append(measure_run(STORES[store], seed))
    basis = {"store": store, "seeds": seeds, "receipts": sum(len(r.buyers) for r in runs)}
    print_sheet(ScoreSheet("purchases", tuple(scores_of(runs)), basis), as_json=as_json)
