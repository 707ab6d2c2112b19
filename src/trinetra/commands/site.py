"""``trinetra init|check|schema``: writes and checks site files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trinetra.adapters.clock import SystemClock
from trinetra.commands.console import note, output, print_json, print_text, say
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.models.calibration import calibrated
from trinetra.settings import load_settings
from trinetra.site import (
    EXAMPLE,
    Camera,
    Problem,
    Site,
    SiteInvalid,
    load_site,
    refusal,
    schema_text,
)
from trinetra.site.conflicts import Conflict
from trinetra.site.line_checks import line_directions
from trinetra.wiring.profiles import choose_profile, missing_models, missing_note
from trinetra.wiring.site_graph import topology_warnings
from trinetra.wiring.thresholds import merge_conflict

if TYPE_CHECKING:
    from trinetra.wiring.camera_check import CameraCheck

_SiteFile = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
_NewFile = Annotated[Path, typer.Argument(metavar="PATH", help="File to write.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
_Connect = Annotated[
    bool, typer.Option("--connect", help="Try every camera and save a picture of each.")
]
_Pictures = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="FOLDER",
        help="Folder for these pictures; by default SITE-cameras, next to the site file.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("init")(init)
    app.command("check")(check)
    app.command("schema")(schema)


def init(path: _NewFile = Path("site.yaml"), *, force: _Force = False) -> None:
    """Write a commented example of a site file."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already: choose another name, or replace it with --force"
        ) from None
    except OSError as cause:
        raise StorageFull(f"{path} cannot be written: {(cause.strerror or '').lower()}") from cause
    output().print(f"Wrote {path}. Edit it, then run: trinetra check {path}", markup=False)


def check(
    site: _SiteFile,
    *,
    connect: _Connect = False,
    pictures: _Pictures = None,
    as_json: _Json = False,
) -> None:
    """Check a site file and report all mistakes at once."""
    try:
        loaded = load_site(site)
        if contradiction := _calibrated_conflict(loaded):
            raise refusal(site, [contradiction])
    except SiteInvalid as invalid:
        _print_problems(invalid.problems, as_json=as_json)
        raise typer.Exit(1) from None
    notes = [*_notes(loaded), *topology_warnings(loaded), *line_directions(loaded)]
    notes += _network_notes()
    cameras = _connected(loaded, site, pictures) if connect or pictures else ()
    is_ok = not any(camera.problem for camera in cameras)
    if as_json:
        _print_as_json(loaded, notes, cameras, is_ok=is_ok)
    else:
        output().print(_table(loaded))
        for text in notes:
            note(text)
        for camera in cameras:
            _print_camera(camera)
    if not is_ok:
        raise typer.Exit(1)


def _connected(loaded: Site, site: Path, pictures: Path | None) -> "Sequence[CameraCheck]":
    # The video libraries take a second to import, which a check of the file alone would pay.
    from trinetra.wiring.camera_check import check_cameras  # noqa: PLC0415

    folder = pictures or site.with_name(f"{site.stem}-cameras")
    note(f"trying {len(loaded.cameras)} cameras; their pictures go to {folder}")
    return check_cameras(loaded, os.environ, folder, SystemClock())


def _print_as_json(
    loaded: Site, notes: list[str], cameras: "Sequence[CameraCheck]", *, is_ok: bool
) -> None:
    document = {"ok": is_ok, "site": _summary(loaded), "notes": notes, "problems": []}
    if cameras:
        document["cameras"] = {
            c.camera_id: {"problem": c.problem}
            if c.problem
            else {
                "codec": c.codec,
                "width": c.width,
                "height": c.height,
                "fps": c.fps,
                "picture": str(c.picture),
            }
            for c in cameras
        }
    print_json(document)


def _print_camera(camera: "CameraCheck") -> None:
    if camera.problem:
        output().print(
            Text.assemble((f"{camera.camera_id}: ", "bold red"), camera.problem), soft_wrap=True
        )
        return
    size = f"{camera.width}x{camera.height}"
    rate = f"{camera.fps:g} frames/s" if camera.fps else "one frame"
    say(f"{camera.camera_id}: {camera.codec} {size}, {rate}, {camera.picture}")


def _calibrated_conflict(site: Site) -> Conflict | None:
    """Return what contradicts the calibration of the face model that this machine would use."""
    settings = load_settings()
    embedder = choose_profile(settings).face_embedder
    return merge_conflict(site, calibrated(embedder, settings.data_dir).calibration)


def _network_notes() -> Iterator[str]:
    """Yield a warning about optional networks that this machine does not have."""
    settings = load_settings()
    if missing := missing_models(choose_profile(settings), settings):
        yield missing_note(missing)


def schema() -> None:
    """Print the JSON Schema of site files, for editors."""
    print_text(schema_text())


def _print_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "problems": [asdict(problem) for problem in problems]})
        return
    console = output()
    for problem in problems:
        console.print(_line(problem), soft_wrap=True)
    mistakes = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    console.print(f"{mistakes} found.", style="bold red")


def _line(problem: Problem) -> Text:
    return Text.assemble(
        (f"{problem.file}:{problem.line}:{problem.column}: ", "bold"),
        (f"{problem.path}: " if problem.path else "", "cyan"),
        problem.message,
        (f"  hint: {problem.hint}", "green"),
    )


def _notes(site: Site) -> Iterator[str]:
    """Yield warnings about what prevents a run on this machine but may be right on another."""
    for camera in site.cameras:
        for obstacle in camera.source.obstacles(os.environ):
            yield f"camera {camera.id}: {obstacle}"


def _summary(site: Site) -> dict[str, object]:
    return {
        "id": site.site,
        "timezone": site.timezone,
        "cameras": {camera.id: _camera_summary(camera) for camera in site.cameras},
        "edges": len(site.topology.edges),
        "overlaps": len(site.topology.overlaps),
    }


def _camera_summary(camera: Camera) -> dict[str, object]:
    return {
        "role": camera.role.value,
        "source": camera.source.shown,
        "fps": [camera.fps_floor, camera.fps, camera.fps_ceiling],
        "reads_faces": camera.reads_faces,
        "labels": sorted(camera.labels),
        "zones": [zone.id for zone in camera.zones],
        "lines": [line.id for line in camera.lines],
    }


def _table(site: Site) -> Table:
    table = Table(
        title=f"{site.site} ({site.timezone})",
        title_justify="left",
        caption=f"{len(site.topology.edges)} ways, {len(site.topology.overlaps)} overlaps",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("camera", "role"):
        table.add_column(heading, no_wrap=True, overflow="ignore")
    table.add_column("source", overflow="fold")
    for heading in ("frames/s", "faces"):
        table.add_column(heading, no_wrap=True)
    table.add_column("zones and lines", overflow="fold")
    for camera in site.cameras:
        table.add_row(*(Text(cell) for cell in _row(camera)))
    return table


def _row(camera: Camera) -> tuple[str, ...]:
    return (
        camera.id,
        camera.role.value,
        camera.source.shown,
        f"{camera.fps:g} ({camera.fps_floor:g}-{camera.fps_ceiling:g})",
        "yes" if camera.reads_faces else "no",
        " ".join([*(zone.id for zone in camera.zones), *(line.id for line in camera.lines)]),
    )
