"""Heatmaps of the twin's cameras against the paths that its people walked.

    python benchmarks/heatmaps.py --seeds 51 52

Detections of a camera run through resolver and insight engine, on floor points as a shop would
measure them: nine places in its picture, to 5 cm. The truth is each person's path while the person
is in that view. Staff count in both: whether they are recognized has scores of its own.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from math import floor

import numpy as np

from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent, FloorPresence
from trinetra.site import Site
from trinetra.twin.camera import Camera
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import AnyTruth, PathTruth, TrackTruth, VisitTruth
from trinetra.values import CameraId, seconds_between
from trinetra.wiring.replay import ReplayInputs, replay
from trinetra.wiring.simulation import face_model, site_of

Seconds = Mapping[tuple[int, int], float]
_TAPE_M = 0.05
_STEP_S = 0.1


def measured(site: Site, camera: Camera, rng: np.random.Generator) -> Site:
    """Return the site with floor points of one camera, each measured with a random error."""
    top = camera.far_row_px / camera.view.height
    rows = [top + (0.98 - top) * share for share in (0.1, 0.5, 1.0)]
    points = []
    for u, v in [(u, v) for u in (0.1, 0.5, 0.9) for v in rows]:
        at_px = np.array([u * camera.view.width]), np.array([v * camera.view.height])
        x, y = (float(axis[0] + rng.normal(0, _TAPE_M)) for axis in camera.to_floor(*at_px))
        points.append(((u, v), (x, y)))
    cameras = [
        one.model_copy(update={"floor": tuple(points)})
        if one.camera_id == camera.view.camera_id
        else one
        for one in site.cameras
    ]
    return site.model_copy(update={"cameras": cameras})


def found_seconds(twin: Twin, camera: Camera, seed: int) -> tuple[Seconds, float, float]:
    """Return the seconds by cell that are counted, those without a place, and those detected."""
    site = measured(site_of(twin.plan), camera, np.random.default_rng(seed))
    found: dict[str, FloorPresence] = {}
    boxes = 0

    def detections() -> Iterator[tuple[CameraId, bytes]]:
        nonlocal boxes
        for arrival in twin.arrivals():
            if arrival.camera_id == camera.view.camera_id:
                event = decode(arrival.payload)
                if isinstance(event, DetectionEvent):
                    boxes += sum(one.label == "person" for one in event.objects)
                yield CameraId(arrival.camera_id), arrival.payload

    def listen(payload: bytes) -> None:
        event = decode(payload)
        if isinstance(event, FloorPresence):
            found[event.event_id] = event

    asyncio.run(replay(ReplayInputs(site, face_model(twin, "default")), detections(), listen))
    cells: Counter[tuple[int, int]] = Counter()
    for cell in (cell for event in found.values() for cell in event.cells):
        cells[cell.x, cell.y] += cell.ms
    unplaced_s = sum(event.unplaced_ms for event in found.values()) / 1000
    by_cell = {cell: ms / 1000 for cell, ms in cells.items()}
    return by_cell, unplaced_s, boxes / camera.view.fps


def true_seconds(truth: list[AnyTruth], camera_id: str) -> Seconds:
    """Return the seconds by cell that people truly spent in the view."""
    paths = {one.visit_id: np.array(one.knots) for one in truth if isinstance(one, PathTruth)}
    arrived = {one.visit_id: one.arrived_at for one in truth if isinstance(one, VisitTruth)}
    cells: Counter[tuple[int, int]] = Counter()
    for one in truth:
        if isinstance(one, TrackTruth) and one.camera_id == camera_id:
            t, x, y = paths[one.visit_id].T
            since = seconds_between(arrived[one.visit_id], one.from_at)
            at = np.arange(since, since + seconds_between(one.from_at, one.to_at), _STEP_S)
            steps = zip(np.interp(at, t, x), np.interp(at, t, y), strict=True)
            cells.update((floor(a), floor(b)) for a, b in steps)
    return {cell: count * _STEP_S for cell, count in cells.items()}


def compared(found: Seconds, true: Seconds) -> tuple[float, float]:
    """Return the correlation over cells, and the total variation of both distributions."""
    cells = sorted({*found, *true})
    pair = np.array([[one.get(cell, 0.0) for cell in cells] for one in (found, true)])
    shares = pair / pair.sum(axis=1, keepdims=True)
    return float(np.corrcoef(pair)[0, 1]), float(np.abs(shares[0] - shares[1]).sum() / 2)


def blurred(true: Seconds) -> Seconds:
    """Return the truth moved by one cell: what an error of a meter would do."""
    return {(x + 1, y): seconds for (x, y), seconds in true.items()}


def main() -> None:
    """Print one row for each seed and camera."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--cameras", nargs="+", default=["aisle-west"])
    parser.add_argument("--shoppers", type=float, default=90.0)
    parser.add_argument("--hours", type=float, default=0.5)
    options = parser.parse_args()
    for seed in options.seeds:
        scenario = Scenario(seed, options.shoppers, options.hours)
        truth = list(Recorder(Twin(built_in_shop(), scenario).world).lines())
        for view in built_in_shop().views:
            if view.camera_id in options.cameras:
                true = true_seconds(truth, view.camera_id)
                twin = Twin(built_in_shop(), scenario)
                found, unplaced_s, detected_s = found_seconds(twin, Camera(view), seed)
                alike, apart = compared(found, true)
                _, moved = compared(blurred(true), true)
                print(
                    f"seed {seed} {view.camera_id}: {len(true)} cells, true "
                    f"{timedelta(seconds=round(sum(true.values())))}, found "
                    f"{timedelta(seconds=round(sum(found.values())))} and unplaced "
                    f"{unplaced_s:.0f} s, detected "
                    f"{timedelta(seconds=round(detected_s))}; correlation "
                    f"{alike:.3f}, total variation {apart:.3f} (moved by 1 m: {moved:.3f})"
                )


if __name__ == "__main__":
    main()
