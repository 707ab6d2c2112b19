"""Live view of a running platform in a terminal, and its summary at the end."""

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

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


class LiveView:
    """Renderable that shows the present state of the platform whenever it is drawn."""

    def __init__(self, site: Site, platform: Platform) -> None:
        self._site = site
        self._platform = platform

    def __rich__(self) -> RenderableType:
        """Return the table of cameras and a line of insights."""
        tally = self._platform.recorder.tally
        table = _table("camera", "role", "state", *_COLUMNS)
        status = self._platform.cameras()
        for camera in self._site.cameras:
            now = status[camera.camera_id]
            style = _STATE_STYLES.get(now.state.value, "")
            figures = camera_figures(camera, tally.cameras[camera.camera_id], now.frames_read)
            table.add_row(
                camera.id, camera.role.value, Text(now.state.value, style), *_cells(figures)
            )
        troubles = [
            Text(f" {camera_id}: {now.problem}", "red")
            for camera_id, now in status.items()
            if now.problem
        ]
        return Group(table, Text(_headline(tally), style="bold"), *troubles)


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
            yield f"people at {camera_id}", said
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


def _headline(tally: Tally) -> str:
    parts = [
        f"customers {tally.people}",
        f"in {tally.footfall['in']} out {tally.footfall['out']}",
        f"stays {tally.stays.total()}",
        f"visits {tally.visits}",
        f"alerts {tally.alerts.total()}",
    ]
    return " " + "   ".join(parts)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in _COLUMNS else "left")
    return table


def _cells(figures: Mapping[str, int | str]) -> list[str]:
    return [str(value) for name, value in figures.items() if name != "role"]
