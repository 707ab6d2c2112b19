"""Effect of the spatiotemporal gate on false merges, on a twin with look-alikes.

Every seed is a twin's run that is replayed through the production resolver under three variants of
the site file: without topology, with ways and overlaps, and with calibrated cameras as well.
``built-in`` is the twin's small shop, where every camera is within a few seconds' walk of every
other; in ``mall`` the cameras are 60 m apart.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from trinetra.benchmarks.accuracy import resolve
from trinetra.evaluation.reading import read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import Choices, identities_sheet
from trinetra.site import Site, Topology
from trinetra.twin.camera import Camera
from trinetra.twin.layout import Sketch, lay_out
from trinetra.twin.plan import FloorPlan, View
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behavior, Scenario
from trinetra.twin.service import write
from trinetra.twin.shop import built_in_shop
from trinetra.values import CameraId, Role, SiteId
from trinetra.wiring.simulation import site_of

VARIANTS = ("off", "ways", "floors")
_MALL_GAP_M = 60.0
_PER_HOUR = 240.0
_FLOOR_POINTS = [(x, y) for y in (0.97, 0.7, 0.45) for x in (0.1, 0.5, 0.9)]
_TOTALS = ("merges", "splits")
_RATES = ("false_match_rate", "misidentified_rate", "undecided_rate", "identity_f1")


def run(
    seeds: Sequence[int] = (1, 2, 3, 4), *, hours: float = 0.25, look_alikes: float = 0.3
) -> dict[str, Any]:
    """Return the errors of each shop under each variant.

    ``merges`` and ``splits`` are totals over all seeds, rates are means.
    """
    figures: dict[str, Any] = {"seeds": list(seeds), "hours": hours, "look_alikes": look_alikes}
    for name, plan in (("built-in", built_in_shop()), ("mall", _mall())):
        runs = [
            _run(
                plan,
                Scenario(seed, _PER_HOUR, hours, behavior=Behavior(look_alike_share=look_alikes)),
            )
            for seed in seeds
        ]
        figures[name] = _compared(runs)
    return figures


def _mall() -> FloorPlan:
    roles = {"door": Role.ENTRANCE, "hall": Role.FACE, "court": Role.FACE, "till": Role.BILLING}
    sketches = [
        Sketch(CameraId(name), role, 5.0, frozenset({"person"}), reads_faces=True)
        for name, role in roles.items()
    ]
    apart = {(a, b): _MALL_GAP_M for a in map(CameraId, roles) for b in map(CameraId, roles)}
    return lay_out(SiteId("twin-mall"), sketches, apart)


def _run(plan: FloorPlan, scenario: Scenario) -> dict[str, dict[str, float]]:
    twin, site = Twin(plan, scenario), site_of(plan)
    variants = {
        "off": site.model_copy(update={"topology": Topology()}),
        "ways": site,
        "floors": calibrated(site, plan),
    }
    with tempfile.TemporaryDirectory(prefix="trinetra-gate-") as folder:
        write(twin, Path(folder))
        truth = read_truth(Path(folder) / "truth.jsonl")
    return {
        name: _counts(identities_sheet(truth, resolve(twin, variant), Choices()))
        for name, variant in variants.items()
    }


def calibrated(site: Site, plan: FloorPlan) -> Site:
    """Return the site with floor points for every camera that sees people."""
    floors = {v.camera_id: _floor(v) for v in plan.views if v.role is not Role.VEHICLE}
    cameras = tuple(
        camera.model_copy(update={"floor": floors.get(camera.camera_id, ())})
        for camera in site.cameras
    )
    return site.model_copy(update={"cameras": cameras})


def _floor(view: View) -> tuple[tuple[tuple[float, float], tuple[float, float]], ...]:
    """Return points in the picture below its far edge, each with its place on the floor."""
    camera = Camera(view)
    far = camera.far_row_px / view.height
    shown = [(x, far + (1 - far) * y) for x, y in _FLOOR_POINTS]
    u, v = (np.array(axis) for axis in zip(*shown, strict=True))
    x, y = camera.to_floor(u * view.width, v * view.height)
    return tuple(zip(shown, zip(x.tolist(), y.tolist(), strict=True), strict=True))


def _counts(sheet: ScoreSheet) -> dict[str, float]:
    scores = {score.name: score for score in sheet.scores}
    totals = {name: float(scores[name].found or 0) for name in _TOTALS}
    rates = {name: scores[name].value or 0.0 for name in _RATES}
    return {**totals, **rates, "visits": float(scores["merges"].n or 0)}


def _compared(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    told: dict[str, Any] = {"visits": sum(run["off"]["visits"] for run in runs)}
    for variant in VARIANTS:
        told[variant] = {
            **{name: sum(run[variant][name] for run in runs) for name in _TOTALS},
            **{name: round(fmean(run[variant][name] for run in runs), 4) for name in _RATES},
            "merges_by_seed": [run[variant]["merges"] for run in runs],
        }
    return told
