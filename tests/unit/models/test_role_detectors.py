"""Only the detectors that some camera of the site needs are loaded."""

import pytest

from trinetra.models.manifest import profile
from trinetra.site import Camera, FileSource, Site
from trinetra.values import Role
from trinetra.wiring.config import detection_plans
from trinetra.wiring.networks import _detectors

PEOPLE, VEHICLES, ANY = (
    "person-detection-0201",
    "person-vehicle-bike-detection-2004",
    "nanodet-g-416",
)


def shop(*cameras: Camera) -> Site:
    return Site(site="shop", timezone="Europe/Berlin", cameras=cameras)


def camera(name: str, role: Role, **changes: object) -> Camera:
    return Camera(id=name, role=role, source=FileSource(file="clip.mp4"), **changes)


@pytest.mark.parametrize(
    ("site", "loaded"),
    [
        (None, {PEOPLE, VEHICLES, ANY}),
        (shop(camera("door", Role.ENTRANCE), camera("aisle", Role.TRACKING)), {PEOPLE}),
        (shop(camera("door", Role.ENTRANCE), camera("yard", Role.VEHICLE)), {PEOPLE, VEHICLES}),
        (shop(camera("gate", Role.TRACKING, labels={"person", "car"})), {ANY}),
    ],
    ids=["unknown site", "people", "people and vehicles", "both in one view"],
)
def test_the_detectors_that_the_cameras_need_are_loaded(site, loaded) -> None:
    models = _detectors(profile("default"), site)
    assert {model.name for model in models} == loaded
    assert len(models) == len(loaded)
    if site is not None:
        plans = detection_plans(site, profile("default")).values()
        assert {plan.detector for plan in plans} == loaded
