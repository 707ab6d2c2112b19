"""The three-person clip on two cameras: recognition depends on whether the walk is possible."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trinetra.events.codec import decode
from trinetra.events.schema import AlertEvent, AnyEvent, IdentityEvent
from trinetra.hosting import host
from trinetra.models.progress import SilentProgress
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.values import CameraId
from trinetra.wiring.assembly import Playback
from trinetra.wiring.networks import Networks, load_networks
from trinetra.wiring.platform import embedded
from trinetra.wiring.profiles import choose_profile, ensure_models

pytestmark = [pytest.mark.clips, pytest.mark.weights]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIRST, SECOND = CameraId("first"), CameraId("second")


@pytest.fixture(scope="module")
def networks(models_dir: Path) -> Networks:
    settings = Settings(models_dir=models_dir)
    profile = choose_profile(settings)
    return load_networks(profile, ensure_models(profile, settings, SilentProgress()), settings)


async def play(
    clip: Path, folder: Path, networks: Networks, *, apart_s: float, distance_m: float
) -> list[AnyEvent]:
    """Play the clip on two cameras, one later than the other; return all events."""
    site = Site.model_validate(
        {
            "site": "shop",
            "timezone": "UTC",
            "cameras": [
                {"id": name, "role": "face", "source": {"file": clip}} for name in (FIRST, SECOND)
            ],
            "topology": {"edges": [{"from": FIRST, "to": SECOND, "distance_m": distance_m}]},
        }
    )
    starts = {FIRST: NOON, SECOND: NOON + timedelta(seconds=apart_s)}
    events = folder / "events.jsonl"
    settings = Settings(data_dir=folder / "data")
    async with embedded(
        site,
        settings,
        networks,
        Playback(starts, in_step=True),
        environ=os.environ,
        events_path=events,
    ) as platform:
        await host(platform.services, stop=asyncio.Event(), drain_deadline_s=60)
    return [decode(line) for line in events.read_bytes().splitlines()]


@pytest.fixture
def clip(clips_dir: Path) -> Path:
    return clips_dir / "face-demographics-walking-and-pause.mp4"


def at(events: list[AnyEvent], camera: CameraId) -> list[IdentityEvent]:
    return [e for e in events if isinstance(e, IdentityEvent) and e.camera_id == camera]


def customers(events: list[IdentityEvent]) -> set[str]:
    return {e.customer_id for e in events if e.customer_id}


async def test_a_minute_and_forty_metres_apart_the_same_three_are_recognised(
    clip: Path, tmp_path: Path, networks: Networks
) -> None:
    events = await play(clip, tmp_path, networks, apart_s=60, distance_m=40)
    assert len(customers(at(events, FIRST))) == 3
    assert customers(at(events, SECOND)) == customers(at(events, FIRST))
    assert "new" not in {e.status for e in at(events, SECOND)}
    assert not [e for e in events if isinstance(e, AlertEvent)]


async def test_two_seconds_and_four_hundred_metres_apart_each_match_is_impossible_and_an_alert(
    clip: Path, tmp_path: Path, networks: Networks
) -> None:
    events = await play(clip, tmp_path, networks, apart_s=2, distance_m=400)
    assert len(customers(at(events, FIRST))) == 3
    assert customers(at(events, SECOND)) == set()
    verdicts = [gate.verdict for e in at(events, SECOND) for gate in e.evidence.gate]
    assert set(verdicts) == {"impossible"}
    alerts = [e for e in events if isinstance(e, AlertEvent)]
    assert {a.rule for a in alerts} == {"impossible_transition"}
    assert {a.customer_id for a in alerts} == customers(at(events, FIRST))
