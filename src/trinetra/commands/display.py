"""Live view of a running platform in a terminal, and its summary at the end."""

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from trinetra.commands.today import Today
from trinetra.site import Camera, Site
from trinetra.streaming.event_recorder import CameraTally, Tally
from trinetra.wiring.platform import Platform

_STATE_STYLES = {
    "streaming": "green",
    "ended": "dim",
    "connecting": "yellow",
    "stalled": "yellow",
    "backoff": "red",
    "disabled": "red",
}
_COLUMNS = ("read", "inferred", "persons", "faces", "vehicles", "tracks")
_LIVE_COLUMNS = ("read", "inferred", "tracks")
_LIVE_WIDTH = 50
"""Characters of a line of the live view beside the camera's id."""
_FRAME_LINES = 7
"""Lines of the live view beside those of cameras and their problems."""
_PROBLEM_ID_WIDTH = 24


class LiveView:
    """Renderable that shows the present state of the platform whenever it is drawn.

    It fits the terminal: cameras in trouble come first, and those that find no room are counted.
    """

    def __init__(self, site: Site, platform: Platform, today: Today) -> None:
        self._site = site
        self._platform = platform
        self._today = today

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield today's figures, the cameras, and what is wrong with them."""
        status, tally = self._platform.cameras(), self._platform.recorder.tally
        shown = sorted(self._site.cameras, key=lambda c: status[c.camera_id].problem is None)
        troubled = [camera for camera in shown if status[camera.camera_id].problem]
        lines = max(2, console.height - _FRAME_LINES)
        troubled = troubled[: lines // 2]
        room = lines - len(troubled)
        table = _table("camera", "state", *_LIVE_COLUMNS)
        table.columns[0].max_width = max(8, options.max_width - _LIVE_WIDTH)
        for column in table.columns:
            column.no_wrap, column.overflow = True, "ellipsis"
        for camera in shown[:room]:
            now, counts = status[camera.camera_id], tally.cameras[camera.camera_id]
            state = Text(now.state.value, _STATE_STYLES.get(now.state.value, ""))
            figures = (now.frames_read, counts.frames_inferred, counts.tracks.total)
            table.add_row(Text(camera.id), state, *map(str, figures))
        yield Text(_headline(self._today), style="bold", no_wrap=True, overflow="ellipsis")
        yield table
        if len(shown) > room:
            yield Text(f" and {len(shown) - room} more cameras", "dim")
        for camera in troubled:
            name = Text(f" {camera.id}", "red")
            name.truncate(_PROBLEM_ID_WIDTH, overflow="ellipsis")
            problem = f": {status[camera.camera_id].problem}"
            yield Text.assemble(name, (problem, "red"), no_wrap=True, overflow="ellipsis")


def camera_figures(camera: Camera, tally: CameraTally, frames_read: int) -> dict[str, int | str]:
    """Return one camera's row of the summary."""
    return {
        "role": camera.role.value,
        "frames_read": frames_read,
        "frames_inferred": tally.frames_inferred,
        "persons": tally.persons,
        "faces": tally.faces,
        "vehicles": tally.vehicles,
        "tracks": tally.tracks.total,
    }


def summarise(site: Site, platform: Platform, seconds: float) -> dict[str, object]:
    """Return the results of a run as plain values for JSON."""
    tally, status = platform.recorder.tally, platform.cameras()
    cameras = {
        camera.id: camera_figures(
            camera, tally.cameras[camera.camera_id], status[camera.camera_id].frames_read
        )
        for camera in site.cameras
    }
    return {
        "cameras": cameras,
        "customers": tally.people,
        "insights": tally.insights(),
        "seconds": round(seconds, 2),
    }


def print_summary(console: Console, site: Site, platform: Platform, seconds: float) -> None:
    """Print a table per camera and a table of insights."""
    tally, status = platform.recorder.tally, platform.cameras()
    cameras = _table("camera", "role", *_COLUMNS)
    for camera in site.cameras:
        read = status[camera.camera_id].frames_read
        figures = camera_figures(camera, tally.cameras[camera.camera_id], read)
        cameras.add_row(camera.id, camera.role.value, *_cells(figures))
    console.print(cameras)
    insights = _table("insight", "figure")
    for name, figure in _insight_rows(tally):
        insights.add_row(name, figure)
    console.print(insights)
    for camera_id, state in status.items():
        if state.problem:
            _tell(console, camera_id, state.problem, "red")
        if state.dropped:
            lost = f"{sum(state.dropped.values())} frames lost ({_listed(state.dropped)})"
            _tell(console, camera_id, lost, "yellow")
    inferred = sum(camera.frames_inferred for camera in tally.cameras.values())
    console.print(
        f"{inferred} frames in {seconds:.1f} s, {inferred / max(seconds, 1e-9):.0f} frames/s",
        style="dim",
    )


def _tell(console: Console, camera_id: str, what: str, style: str) -> None:
    console.print(f"{camera_id}: {what}", style=style, markup=False, soft_wrap=True)


def _insight_rows(tally: Tally) -> Iterable[tuple[str, str]]:
    yield "customers", str(tally.people)
    for camera_id, camera in tally.cameras.items():
        if said := _listed({status: n for status, n in camera.statuses.items() if n}):
            yield f"tracks at {camera_id}", said
    yield "footfall", f"{tally.footfall['in']} in, {tally.footfall['out']} out"
    yield "vehicles", f"{tally.vehicles['in']} in, {tally.vehicles['out']} out"
    for zone, stays in sorted((+tally.stays).items()):
        yield f"stays at {zone}", f"{stays}, {tally.dwell_s[zone] / stays:.1f} s on average"
    peaks = tally.insights()["peak_occupancy"]
    yield "most people at once", ", ".join(f"{n} {place}" for place, n in peaks.items()) or "none"
    yield "visits", str(tally.visits)
    yield "alerts", _listed(tally.alerts) or "none"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def _headline(today: Today) -> str:
    found = today.figures
    if found is None:
        return " today: not read yet"
    parts = [
        f"in {found.came_in}  out {found.went_out}",
        f"customers {found.customers}",
        f"visits {found.visits}",
        f"stays {found.stays}",
    ]
    return " today   " + "   ".join(parts)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        is_number = heading in {*_COLUMNS, *_LIVE_COLUMNS}
        table.add_column(heading, justify="right" if is_number else "left")
    return table


def _cells(figures: Mapping[str, int | str]) -> list[str]:
    return [str(value) for name, value in figures.items() if name != "role"]
