"""Simulated clothing descriptors: encoding, similarity as on real clips, and occlusion."""

import itertools
from dataclasses import replace

import numpy as np
from tests.unit.twin.test_sensing import look, standing

from trinetra.detections.vision import appearance as writer
from trinetra.identities.tracking.appearance import difference, read_look
from trinetra.twin import clothes
from trinetra.twin.clothes import Wardrobe
from trinetra.twin.sensing import Bodies
from trinetra.twin.world import Stay

BOX = (0.0, 0.0, 10.0, 10.0)


def seen(bodies: Bodies, stays: list[Stay], seed: int = 1) -> list[bytes]:
    return Wardrobe(seed).seen(2, 5.0, bodies, stays, np.random.default_rng(seed))


def differences(one: list[bytes], other: list[bytes]) -> list[float]:
    pairs = zip(one, other, strict=True)
    found = [difference(read_look(a, BOX, ()), read_look(b, BOX, ())) for a, b in pairs]
    return [value for value in found if value is not None]


def test_the_twin_writes_what_the_inference_worker_writes() -> None:
    assert (clothes.TAG, clothes.STRIPES) == (writer.TAG, writer.STRIPES)
    [description] = seen(look([standing(0, 9.8, 13.0)], 1), [standing(0, 9.8, 13.0)])
    assert description[0] == writer.TAG
    assert len(description) == 1 + 3 * writer.STRIPES


def test_one_person_looks_alike_from_frame_to_frame_and_two_people_do_not() -> None:
    stays = [standing(number, 9.8, 13.0) for number in range(20)]
    each = [seen(look([stay], 50), [stay]) for stay in stays]
    same = np.concatenate([differences(one[:-1], one[1:]) for one in each])
    apart = np.concatenate([differences(a, b) for a, b in itertools.pairwise(each)])
    # Standing people on real clips: half the pairs are below 0.03, 90 % below 0.7; different people
    # are at 2 to 15.
    assert np.quantile(same, 0.5) < 0.1
    assert np.quantile(same, 0.9) < 0.7
    assert np.quantile(apart, 0.1) > 1
    assert 3 < np.median(apart) < 20


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


def test_where_somebody_is_hidden_the_clothes_of_who_hides_them_are_seen() -> None:
    near, far = standing(0, 8.6, 13.0), standing(1, 9.6, 13.0)
    both, alone = look([near, far], 200), look([far], 200)
    behind = _mean(seen(both.take(both.who == 1), [near, far]))
    assert np.abs(behind - _mean(seen(alone, [far]))).max() < 3  # not occluded: its own clothes
    together = [row for row, who in zip(seen(both, [near, far]), both.who, strict=True) if who == 1]
    hidden = np.abs(_mean(together) - behind).max(axis=1)
    assert hidden[0] < 3 < hidden[-1]


def _mean(packed: list[bytes]) -> np.ndarray:
    return np.array([list(row[1:]) for row in packed], float).mean(axis=0).reshape(-1, 3)
