"""Cars on a real road, counted by eye: four, two of them away from the camera."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from trinetra.events.codec import decode, encode
from trinetra.events.schema import LineCrossing, VehicleStay
from trinetra.models.progress import SilentProgress
from trinetra.settings import load_settings
from trinetra.site import Site
from trinetra.values import CameraId
from trinetra.wiring.footage import Footage
from trinetra.wiring.networks import load_networks
from trinetra.wiring.profiles import choose_profile, ensure_models
from trinetra.wiring.replay import ReplayInputs, replay

ROAD = CameraId("road")

pytestmark = [pytest.mark.weights, pytest.mark.clips]


def test_the_cars_on_a_road_are_counted_as_by_eye(clips_dir: Path, models_dir: Path) -> None:
    clip = clips_dir / "car-detection.mp4"
    camera = {
        "id": ROAD,
        "role": "vehicle",
        "source": {"file": clip},
        "reads_plates": False,  # they are six pixels high
        "lines": [{"id": "middle", "a": [0, 0.5], "b": [1, 0.5]}],
    }
    site = Site.model_validate({"site": "road", "timezone": "UTC", "cameras": [camera]})
    settings = load_settings()
    profile = choose_profile(settings, site)
    networks = load_networks(
        profile, ensure_models(profile, settings, SilentProgress()), settings, site
    )
    events = Footage(site, networks).of_video(site.cameras[0], clip)
    found = []
    detected = ((ROAD, encode(event)) for event in events)
    inputs = ReplayInputs(site, profile.face_embedder)
    asyncio.run(replay(inputs, detected, lambda payload: found.append(decode(payload))))
    stays = [event for event in found if isinstance(event, VehicleStay)]
    crossings = Counter(e.direction for e in found if isinstance(e, LineCrossing))
    assert [stay.label for stay in stays] == ["car"] * 4
    assert crossings == {"in": 2, "out": 2}
