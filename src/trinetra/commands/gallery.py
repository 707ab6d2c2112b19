"""``trinetra gallery info|export|import``: inspects the gallery, and moves it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk import gallery_file
from trinetra.commands.console import note, print_json, say
from trinetra.customers.customer_feed import read_people
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.ports import PurgeableGallery
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import GalleryEntry
from trinetra.wiring.audit_trail import record_deed
from trinetra.wiring.connections import open_gallery
from trinetra.wiring.stores import open_customer_log

Place = Literal["edge", "qdrant"]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
_Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]
_From = Annotated[
    Place | None,
    typer.Option("--from", help="Source; by default the gallery that TRINETRA_GALLERY names."),
]
_To = Annotated[
    Place | None,
    typer.Option("--to", help="Target; by default the gallery that TRINETRA_GALLERY names."),
]
_BATCH = 256
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)


class Imported(NamedTuple):
    """Counts of imported entries, of entries of erased people, and of all entries afterwards."""

    imported: int
    erased: int
    held: int


gallery = typer.Typer(no_args_is_help=True, help="Face gallery: inspect and move it.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(gallery, name="gallery")


@gallery.command("info")
def info(*, as_json: _Json = False) -> None:
    """Show the location, the model and the size of the gallery."""
    settings, model = _prepared(None)
    told = {
        "gallery": settings.gallery,
        "where": _where(settings),
        "model": model.version,
        "dimension": model.dimension,
        "entries": asyncio.run(_count(settings, model)),
    }
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        say(f"{name}: {value}")


@gallery.command("export")
def export(file: _File, *, source: _From = None, force: _Force = False) -> None:
    """Write every entry of the gallery to FILE, readable only by you."""
    if file.exists() and not force:
        raise ConfigurationError(f"{file} exists; name another file, or add --force")
    settings, model = _prepared(source)
    written = asyncio.run(_export(settings, model, file))
    record_deed(settings, "export", None, f"{written} faces")
    say(f"{written} entries of {model.version} are in {file}")
    note(f"{file} holds biometric data: protect it like the gallery, and delete it after use")


@gallery.command("import")
def import_(file: _File, *, target: _To = None) -> None:
    """Import FILE into the gallery, without expired entries and erased people; idempotent."""
    settings, model = _prepared(target)
    contents = gallery_file.check(file)
    _require_same_model(file, contents, model)
    done = asyncio.run(_import(settings, model, file, contents.entries))
    record_deed(settings, "import", None, f"{done.imported} faces")
    expired = contents.entries - done.imported - done.erased
    say(
        f"{done.imported} entries of {model.version} are in the gallery, which holds {done.held} "
        f"now; left out: {expired} that had expired, {done.erased} of people who were erased"
    )
    if done.erased:
        note(f"{file} still holds faces of people who were erased: delete it")


def _prepared(place: Place | None) -> tuple[Settings, FaceEmbedderModel]:
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    if place is not None:
        settings = settings.model_copy(update={"gallery": place})
    if settings.gallery == "memory":
        raise ConfigurationError(
            "TRINETRA_GALLERY=memory ends with its process, so there is nothing to inspect or "
            "move; set it to edge or qdrant"
        )
    return settings, load_manifest().profile(settings.profile).face_embedder


def _where(settings: Settings) -> str:
    return (
        settings.qdrant_url if settings.gallery == "qdrant" else str(settings.data_dir / "gallery")
    )


def _require_same_model(
    file: Path, contents: gallery_file.Contents, model: FaceEmbedderModel
) -> None:
    theirs = (contents.model_version, contents.dimension)
    if theirs != (model.version, model.dimension):
        raise ConfigurationError(
            f"{file} holds embeddings of {theirs[0]} ({theirs[1]} values), and the profile uses "
            f"{model.version} ({model.dimension} values): they cannot be compared; choose the "
            "profile of the file (TRINETRA_PROFILE)"
        )


async def _count(settings: Settings, model: FaceEmbedderModel) -> int:
    async with open_gallery(settings, model) as opened:
        return await opened.count()


async def _export(settings: Settings, model: FaceEmbedderModel, file: Path) -> int:
    async with open_gallery(settings, model) as opened:
        total = await opened.count()
        with (
            gallery_file.writing(file, model.version, model.dimension) as writer,
            _bar("exporting", total) as (bars, task),
        ):
            async for batch in opened.entries(_BATCH):
                writer.add(batch)
                bars.advance(task, len(batch))
            return writer.entries


async def _import(settings: Settings, model: FaceEmbedderModel, file: Path, total: int) -> Imported:
    """Import the entries that may be kept."""
    imported = erased = 0
    async with open_gallery(settings, model) as opened, open_customer_log(settings) as customer_log:
        with _bar("importing", total) as (bars, task):
            for batch in gallery_file.read(file):
                # Read for each batch, because a person may be erased during the import.
                people = await read_people(customer_log)
                kept = [entry for entry in batch if not people.is_erased(entry.customer_id)]
                erased += len(batch) - len(kept)
                imported += await _put_patiently(opened, kept)
                bars.advance(task, len(batch))
        return Imported(imported, erased, await opened.count())


async def _put_patiently(opened: PurgeableGallery, batch: list[GalleryEntry]) -> int:
    """Import unexpired entries, with retries while the gallery is unavailable."""
    for wait_s in _WAITS_S:
        try:
            return await _put(opened, batch)
        except GalleryUnavailable as cause:
            note(f"{cause}; trying again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
    return await _put(opened, batch)


async def _put(opened: PurgeableGallery, batch: list[GalleryEntry]) -> int:
    now = SystemClock().now()
    valid = [entry for entry in batch if entry.expires_at is None or entry.expires_at > now]
    await opened.upsert(valid)
    return len(valid)


@contextmanager
def _bar(what: str, total: int) -> Iterator[tuple[Progress, TaskID]]:
    """Draw the progress, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars, bars.add_task(what, total=total)
