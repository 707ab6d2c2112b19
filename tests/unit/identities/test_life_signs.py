"""A poster shows no sign of life, however long it hangs; a person who stands still does."""

import math
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.events import samples

from trinetra.identities.decision.track_identity import TrackIdentity
from trinetra.identities.tracking.life_signs import LifePolicy, LifeSigns, with_body, with_face
from trinetra.identities.tracking.track_faces import TrackFaces
from trinetra.values import TrackId, after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FPS, SLOW_FPS = 8.0, 3.0
STILL_PHOTO_SD = 0.0075
"""Standard deviation of the detected center of a photograph filmed with noise, in face widths."""


def seen(centers: list[tuple[float, float]], *, width: float = 50.0, fps: float = FPS) -> LifeSigns:
    """Return the signs after faces at these centers, in face widths."""
    signs = LifeSigns()
    for number, (x, y) in enumerate(centers):
        box = ((x - 0.5) * width, (y - 0.6) * width, (x + 0.5) * width, (y + 0.6) * width)
        face = msgspec.structs.replace(samples.face(), box=box)
        signs = with_face(signs, face, after(NOON, number / fps), LifePolicy())
    return signs


def jittered(count: int, sd: float, seed: int = 1) -> list[tuple[float, float]]:
    noise = np.random.default_rng(seed).normal(scale=sd, size=(count, 2))
    return [(10.0 + x, 5.0 + y) for x, y in noise.tolist()]


@pytest.mark.parametrize("factor", [1, 2])
def test_a_poster_seen_for_hours_never_moves(factor: int) -> None:
    two_hours = round(7200 * SLOW_FPS)
    assert not seen(jittered(two_hours, factor * STILL_PHOTO_SD), fps=SLOW_FPS).has_moved


def test_a_camera_that_sags_over_hours_does_not_make_a_poster_move() -> None:
    jitter = jittered(round(3600 * SLOW_FPS), STILL_PHOTO_SD)
    sagging = [(x, y + 0.3 * n / len(jitter)) for n, (x, y) in enumerate(jitter)]
    assert not seen(sagging, fps=SLOW_FPS).has_moved


PAUSE = (1.91, 1.90, 1.90, 1.89, 1.87, 1.84, 1.81, 1.77, 1.77, 1.75)
"""Where a person's face was during a pause, in widths of 1.1: face-demographics-walking-and-pause,
8 frames per second, from the 17th frame on."""


def test_a_person_who_pauses_moves_enough() -> None:
    assert seen([(x / 1.1, 5.0) for x in PAUSE]).has_moved


@pytest.mark.parametrize("fps", [4.0, 5.0, 8.0, 15.0])
def test_a_person_who_sways_while_standing_for_three_seconds_moves_enough(fps: float) -> None:
    sway = [
        (10.0 + 0.1 * math.sin(2 * math.pi * n / fps / 2.5), 5.0) for n in range(round(3 * fps))
    ]
    assert seen(sway, fps=fps).has_moved


@given(width=st.floats(20, 500), x=st.floats(0, 20), step=st.floats(0.25, 3))
@settings(max_examples=50)
def test_movement_is_relative_to_the_size_of_the_face(width: float, x: float, step: float) -> None:
    assert seen([(x, 5.0), (x + step, 5.0)], width=width).has_moved


def test_a_body_makes_a_person_but_is_no_sign_of_life() -> None:
    signs = with_body(seen(jittered(10, STILL_PHOTO_SD)))
    assert signs.is_person
    assert not signs.has_moved
    assert not seen(jittered(10, STILL_PHOTO_SD)).is_person


def test_a_track_that_passes_to_another_face_is_asked_for_a_sign_of_life_again() -> None:
    moved = LifeSigns(has_moved=True)
    identity = TrackIdentity(TrackId("trk_1"), "person", NOON, life=moved)
    assert not identity.follow(TrackFaces())
    assert identity.life == moved
    identity.follow(TrackFaces(segment=1, since=NOON))
    assert identity.life.is_person
    assert not identity.life.has_moved


def test_a_body_that_was_detected_is_remembered_while_its_face_is_watched() -> None:
    policy = LifePolicy()
    for centers in ([(0, 0)], [(0, 0), (0, 0)], [(0, 0), (5, 0)]):
        signs = with_body(LifeSigns())
        for number, (x, y) in enumerate(centers):
            face = msgspec.structs.replace(samples.face(), box=(x * 50, y * 50, x * 50 + 50, 60))
            signs = with_face(signs, face, after(NOON, number), policy)
        assert signs.has_body
    again = with_face(signs, samples.face(), after(NOON, 99), policy)
    assert again == signs
    assert (again.has_moved, again.is_person) == (True, True)


def test_a_movement_counts_from_where_the_face_was_when_the_window_began() -> None:
    policy = LifePolicy(span_widths=0.12, within_s=10.0, share=1.0)
    for last, moved in ((0.16, False), (0.18, True)):
        signs = LifeSigns()
        for second, x in ((0, 0.0), (11, 0.05), (12, last)):
            box = (50 * x, 0.0, 50 * x + 50, 60.0)
            face = msgspec.structs.replace(samples.face(), box=box)
            signs = with_face(signs, face, after(NOON, second), policy)
        assert signs.has_moved is moved
