"""``trinetra models list|fetch``: lists the neural networks and downloads them."""

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from trinetra.commands.console import note, output, print_json, say
from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.commands.progress import FetchProgress
from trinetra.errors import ModelUnavailable
from trinetra.models.manifest import AnyModel, load_manifest
from trinetra.settings import Settings, load_settings
from trinetra.wiring.profiles import ensure_models, find_here

_SHOWN_DIGITS = 12
_NAME_WIDTH = len("person-reidentification-retail-0287@1")
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Profile = Annotated[str | None, typer.Option("--profile", help="Set of networks.")]

models = typer.Typer(
    cls=lazy_group(
        {
            "calibrate": LazyCommand(
                "calibrate",
                "Measure error rates on labeled pictures, and set the match threshold.",
            ),
        }
    ),
    no_args_is_help=True,
    help="Neural networks: licenses, downloads, calibration.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(*, as_json: _Json = False) -> None:
    """List every network with its license, digest and place, and the profiles that use it."""
    manifest, settings = load_manifest(), load_settings()
    used = {
        name: [model.name for model in manifest.profile(name).models] for name in manifest.profiles
    }
    rows = [_row(model, used) | _place(model, settings) for model in manifest.model]
    if as_json:
        print_json(rows)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model, license, sha256", min_width=_NAME_WIDTH)
    table.add_column("task", no_wrap=True)
    table.add_column("profile", max_width=len("reference"))
    for heading in ("MB", "here"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    output().print(table)
    for text in dict.fromkeys(row["notice"] for row in rows if row["notice"]):
        note(text)


def _row(model: AnyModel, used: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "task": model.task,
        "network": model.network,
        "licence": model.license,
        "notice": model.notice,
        "file": model.file,
        "size_bytes": model.size_bytes + (model.weights.size_bytes if model.weights else 0),
        "sha256": list(model.sha256),
        "weights_sha256": model.weights.sha256 if model.weights else None,
        "sources": [str(source) for source in model.source],
        "profiles": [name for name, names in used.items() if model.name in names],
    }


def _place(model: AnyModel, settings: Settings) -> dict[str, Any]:
    """Return where this machine has the network, or how it can be had."""
    try:
        path = find_here(model, settings)
    except ModelUnavailable as cause:
        return {"path": None, "here": "wrong", "problem": str(cause)}
    if path is not None:
        return {"path": str(path), "here": "yes", "problem": None}
    return {"path": None, "here": "fetch" if model.source else "no", "problem": None}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    terms = [row["licence"], *(digest[:_SHOWN_DIGITS] for digest in row["sha256"][:1])]
    size = f"{row['size_bytes'] / 1e6:.1f}" if row["size_bytes"] else ""
    name = f"{row['version']}\n  {', '.join(terms)}"
    return (name, row["task"], " ".join(row["profiles"]), size, row["here"])


@models.command("fetch")
def fetch(*, profile: _Profile = None, as_json: _Json = False) -> None:
    """Download the networks of a profile, each verified by its digest."""
    settings = load_settings()
    chosen = load_manifest().profile(profile or settings.profile)
    for text in chosen.notices:
        note(text)
    with FetchProgress() as progress:
        files = ensure_models(chosen, settings, progress)
    if as_json:
        print_json({name: str(path) for name, path in files.items()})
        return
    for name, path in files.items():
        say(f"{name}: {path}")
