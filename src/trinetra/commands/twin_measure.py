"""``trinetra twin measure``: measures the twin's noise on labeled footage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from trinetra.benchmarks.sensor_noise import as_json, measure_noise, twin_figures
from trinetra.commands.console import note, output
from trinetra.commands.portraits import networks_of
from trinetra.errors import StorageFull
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging
from trinetra.wiring.portraits import load_portraits

_VIEWS = ("entrance", "aisle-west", "till")

_Footage = Annotated[
    Path, typer.Argument(help="The folder with the labeled sequences, see docs/twin.md.")
]
_Faces = Annotated[
    list[Path], typer.Option("--faces", help="A folder with a folder of photos for each person.")
]
_File = Annotated[Path, typer.Option("--file", help="The noise of the twin.")]
_Check = Annotated[
    bool, typer.Option("--compare", help="Write nothing; compare the twin as it is with footage.")
]


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group ``twin``."""
    group.command("measure")(measure)


def measure(
    footage: _Footage,
    *,
    faces: _Faces,
    file: _File = Path("src/trinetra/twin/noise.json"),
    compare: _Check = False,
) -> None:
    """Measure the noise of cameras and networks on labeled footage."""
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    networks = networks_of(settings)
    portraits, _ = load_portraits(faces, networks, settings)
    noise, figures = measure_noise(footage, portraits, networks)
    if compare:
        _show({**figures, **{f"twin {view}": twin_figures(view) for view in _VIEWS}})
        return
    try:
        file.write_text(as_json(noise), encoding="utf-8")
    except OSError as cause:
        raise StorageFull(f"{file} cannot be written: {cause.strerror}") from cause
    note(f"wrote {file}; run again with --compare to hold the twin against the footage")


def _show(figures: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right")
    for row in next(iter(figures.values())):
        table.add_row(row.replace("_", " "), *(f"{of[row]:.3f}" for of in figures.values()))
    output().print(table)
