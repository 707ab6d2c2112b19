"""Bodies of the twin resemble each other as those on labeled footage do."""

from itertools import combinations

import msgspec
import numpy as np
import pytest

from trinetra.events.codec import decode, unpack_body
from trinetra.events.schema import DetectionEvent
from trinetra.twin.bodies import BodyBank
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop


@pytest.fixture(scope="module")
def looks() -> list[list[np.ndarray]]:
    """Return what 300 people look like to two cameras, without what varies in time."""
    bank, twin = BodyBank(seed=3), Twin(built_in_shop(), Scenario(3, 300.0, 1.0))
    stays = [stay for stay in twin.world.stays if stay.person.kind != "staff"][:300]
    return [[bank._of(stay, camera) for camera in (0, 1)] for stay in stays]


def test_two_people_resemble_each_other_as_little_as_measured(looks: list) -> None:
    steady = 0.51  # of the variance; the rest varies in time
    here = [float(a[0] @ b[0]) for a, b in combinations(looks, 2)]
    there = [float(a[0] @ b[1]) for a, b in combinations(looks, 2)]
    assert np.mean([float(a[0] @ a[0]) for a in looks]) == pytest.approx(steady, abs=0.05)
    assert np.mean(here) == pytest.approx(0.16, abs=0.02)
    assert np.mean(there) == pytest.approx(0.10, abs=0.02)
    assert np.std(here) == pytest.approx(0.08, abs=0.02)
    assert np.quantile(here, 0.999) > 0.4  # some people are dressed alike


def test_one_person_resembles_themselves_at_another_camera_as_measured(looks: list) -> None:
    assert np.mean([float(a[0] @ a[1]) for a in looks]) == pytest.approx(0.33, abs=0.02)


def test_only_a_shop_that_embeds_bodies_has_them_and_nothing_else_changes() -> None:
    def events(*, embeds: bool) -> list[DetectionEvent]:
        twin = Twin(built_in_shop(), Scenario(2, 200.0, 0.01, embeds_bodies=embeds))
        return [e for a in twin.arrivals() if isinstance(e := decode(a.payload), DetectionEvent)]

    plain, embedded = events(embeds=False), events(embeds=True)
    bodies = [seen.body for event in embedded for seen in event.objects if seen.body]
    assert {len(unpack_body(body)) for body in bodies} == {256}
    assert {event.models.get("body_embed") for event in embedded} == {"twin@1"}
    without = [
        msgspec.structs.replace(
            event,
            models={k: v for k, v in event.models.items() if k != "body_embed"},
            objects=tuple(msgspec.structs.replace(seen, body=None) for seen in event.objects),
        )
        for event in embedded
    ]
    assert without == plain
