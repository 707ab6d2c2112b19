"""The floor of a simulated shop: its calibrated cameras, and where people were in their views."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from trinetra.events.schema import FloorCell, FloorPresence
from trinetra.insights.config import PERSON
from trinetra.twin.camera import Camera
from trinetra.twin.plan import View
from trinetra.twin.run import Twin
from trinetra.twin.world import Stay
from trinetra.values import EventId, Instant, SiteId, derive_id, seconds_between

_DEPTH_M = 16.0
"""Depth of the built-in shop. The plan on the page begins in the north, the twin in the south."""
_REPORT_S = 900
_Place = tuple[int, int, int]
"""Number of a quarter hour, and a cell."""


def calibrated(document: dict[str, Any], views: tuple[View, ...]) -> dict[str, Any]:
    """Return the content of a site file with the floor points and places of these views."""
    by_id = {view.camera_id: view for view in views}
    cameras = [{**one, **_on_floor(by_id[one["id"]])} for one in document["cameras"]]
    return {**document, "cameras": cameras}


def _on_floor(view: View) -> dict[str, Any]:
    camera, mount = Camera(view), view.mount
    far = camera.far_row_px / view.height
    corners = ((0.0, 1.0), (1.0, 1.0), (1.0, far), (0.0, far))
    points = [
        (corner, (x, _DEPTH_M - y)) for corner, (x, y) in zip(corners, camera.field(), strict=True)
    ]
    place = {"x_m": mount.x_m, "y_m": _DEPTH_M - mount.y_m}
    return {"position": place} | ({"floor": points} if PERSON in view.labels else {})


def presences(twin: Twin, site_id: SiteId, now: Instant) -> Iterator[FloorPresence]:
    """Yield where people were until an instant, as cameras that miss nothing would report it."""
    opened = twin.scenario.started_at
    until_s = seconds_between(opened, now)
    stays = [stay for stay in twin.world.stays if stay.person.kind != "staff"]
    for view in twin.plan.views:
        spent, came = _spent(Camera(view), stays if PERSON in view.labels else [], until_s)
        for quarter in sorted({place[0] for place in spent}):
            start = opened + timedelta(seconds=quarter * _REPORT_S)
            end = min(start + timedelta(seconds=_REPORT_S), now)
            yield FloorPresence(
                event_id=EventId(derive_id("truth", view.camera_id, start, "floor")),
                site_id=site_id,
                camera_id=view.camera_id,
                captured_at=end,
                started_at=start,
                grid="floor",
                cells=tuple(
                    FloorCell(place[1], place[2], 1000 * seconds, came[place])
                    for place, seconds in sorted(spent.items())
                    if place[0] == quarter
                ),
            )


def _spent(
    camera: Camera, stays: list[Stay], until_s: float
) -> tuple[Counter[_Place], Counter[_Place]]:
    """Return the seconds spent at each place, and how many people came to it."""
    spent: Counter[_Place] = Counter()
    came: Counter[_Place] = Counter()
    for stay in stays:
        t = np.arange(max(stay.path.start_s, 0.0), min(stay.path.end_s, until_s))
        x, y, _, _ = stay.path.at(t)
        is_seen = camera.sees_floor(x, y)
        rows = np.stack([t // _REPORT_S, np.floor(x), np.floor(_DEPTH_M - y)], axis=1)[is_seen]
        places, seconds = np.unique(rows.astype(np.int64), axis=0, return_counts=True)
        cells = set[tuple[int, int]]()
        for (quarter, column, row), count in zip(places.tolist(), seconds.tolist(), strict=True):
            spent[quarter, column, row] += count
            came[quarter, column, row] += (column, row) not in cells
            cells.add((column, row))
    return spent, came
