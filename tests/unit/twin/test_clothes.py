"""Simulated clothing descriptors: the wire format, and what follows from box and occlusion."""

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.twin.test_sensing import look, standing

from trinetra.detections.vision.appearance import describe
from trinetra.twin.clothes import Wardrobe
from trinetra.twin.detector import Found
from trinetra.twin.noise import Walkers
from trinetra.twin.sensing import NO_ROW, Bodies
from trinetra.twin.world import Stay


def exact(bodies: Bodies, xyxy: np.ndarray | None = None) -> Found:
    """Return a box on every body, at its true place if no other is given."""
    rows = np.arange(len(bodies))
    boxes = bodies.xyxy if xyxy is None else xyxy
    return Found(bodies.frame, rows, boxes, np.ones(len(rows)))


def described(
    wardrobe: Wardrobe, bodies: Bodies, stays: list[Stay], found: Found | None = None
) -> list[bytes]:
    rng = np.random.default_rng(1)
    walkers = Walkers(bodies.who, np.zeros((len(stays), 0)), 5.0)
    return wardrobe.seen(2, bodies, walkers, found or exact(bodies), stays, rng)


def seen(
    bodies: Bodies, stays: list[Stay], found: Found | None = None, factor: float = 1.0
) -> np.ndarray:
    """Return the descriptors ``(n, 6, 3)``."""
    packed = described(Wardrobe(1, factor), bodies, stays, found)
    return np.array([list(row[1:]) for row in packed], float).reshape(-1, 6, 3)


def test_the_twin_writes_what_the_inference_worker_writes() -> None:
    stay = standing(0, 9.8, 13.0)
    bodies = look([stay], 1)
    [mine] = described(Wardrobe(1), bodies, [stay])
    [theirs] = describe(np.zeros((40, 40, 3), np.uint8), np.array([[0, 0, 20, 40]], np.float32))
    assert (len(mine), mine[0]) == (len(theirs), theirs[0])


def test_one_person_varies_less_than_people_differ() -> None:
    stays = [standing(number, 9.8, 13.0) for number in range(20)]
    each = np.stack([seen(look([stay], 50), [stay]) for stay in stays])
    within, between = each.std(axis=1).mean(), each.mean(axis=1).std(axis=0).mean()
    assert within < 0.5 * between


def test_one_person_varies_as_much_as_on_the_footage() -> None:
    stays = [standing(number, 9.8, 13.0) for number in range(40)]
    each = np.stack([seen(look([stay], 100), [stay]) for stay in stays])
    within = np.sqrt(each.var(axis=1).mean(axis=0)).ravel()
    ratio = within / np.array(Wardrobe(1).noise.clothes.within)
    assert ratio.mean() == pytest.approx(1, abs=0.1)
    assert ratio.std() < 0.3


def test_the_factor_makes_clothes_vary_more_but_not_differ_more() -> None:
    stay = standing(0, 9.8, 13.0)
    bodies = look([stay], 300)
    calm, wild = (seen(bodies, [stay], factor=factor) for factor in (0.5, 2.0))
    assert wild.std(axis=0).mean() == pytest.approx(4 * calm.std(axis=0).mean(), rel=0.2)


def test_a_box_around_the_legs_shows_the_legs_in_all_stripes() -> None:
    stay = standing(0, 9.8, 13.0)
    bodies = look([stay], 200)
    boxes = bodies.xyxy.copy()
    boxes[:, 1] += 0.75 * (boxes[:, 3] - boxes[:, 1])
    whole = seen(bodies, [stay]).mean(axis=0)
    legs = seen(bodies, [stay], exact(bodies, boxes)).mean(axis=0)
    assert np.abs(legs - whole[-1]).max(axis=1)[3:].max() < 8
    assert np.abs(legs[0] - whole[0]).max() > np.abs(legs[0] - whole[-1]).max()


def test_a_ghost_shows_the_background_and_never_a_person() -> None:
    stay = standing(0, 9.8, 13.0)
    bodies = look([stay], 1)
    ghost = Found(np.array([0]), np.array([NO_ROW]), bodies.xyxy, np.ones(1))
    [shown] = seen(bodies, [stay], ghost)
    assert (shown == shown[0]).all()


def test_clothes_are_the_same_for_a_visit_and_others_on_the_next() -> None:
    wardrobe, stay = Wardrobe(1), standing(3, 0, 0)
    assert (wardrobe.worn(stay) == Wardrobe(1).worn(stay)).all()
    assert (wardrobe.worn(stay) != wardrobe.worn(replace(stay, index=4))).all()


def test_staff_wear_alike() -> None:
    wardrobe, shoppers = Wardrobe(1), [standing(n, 0, 0) for n in range(12)]
    staff = [
        replace(s, index=20 + n, person=replace(s.person, kind="staff"))
        for n, s in enumerate(shoppers)
    ]
    shirts = np.stack([[wardrobe.worn(s)[2] for s in group] for group in (staff, shoppers)])
    alike, various = shirts.std(axis=1).mean(axis=1)
    assert alike < 0.3 * various


def test_where_a_person_is_hidden_the_clothes_of_the_nearer_one_are_seen() -> None:
    near, far = standing(0, 8.6, 13.0), standing(1, 9.6, 13.0)
    both, alone = look([near, far], 200), look([far], 200)
    own = seen(alone, [far]).mean(axis=0)
    together = seen(both, [near, far])[both.who == 1].mean(axis=0)
    changed = np.abs(together - own).max(axis=1)
    assert changed[0] < 5 < changed[-1]
