"""Simulated faces and embeddings, compared with the inference-worker's own measures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision import quality as worker
from trinetra.events.codec import pack_embedding, unpack_embedding
from trinetra.events.schema import FaceQuality
from trinetra.twin.embeddings import DIMENSION, FaceBank
from trinetra.twin.faces import FacesSeen, frontality_of, landmarks_of, unusable_reasons
from trinetra.twin.people import Person
from trinetra.twin.world import Stay

UNIT = st.floats(0, 1)


@given(
    yaw=st.floats(-1.0, 1.0),
    pitch=st.floats(-0.6, 0.6),
    size=st.floats(40, 400),
)
def test_frontality_is_what_the_inference_worker_would_say(
    yaw: float, pitch: float, size: float
) -> None:
    one = np.ones(1)
    points = landmarks_of(100 * one, 100 * one, size / 0.15 * one, yaw * one, pitch * one)
    told = worker.frontality_of(points[0].astype(np.float32))
    assert frontality_of(points)[0] == pytest.approx(told, abs=0.01)


@given(
    size=st.floats(5, 100).map(lambda s: round(s, 1)),
    sharpness=UNIT,
    frontality=UNIT,
    exposure=UNIT,
    bright=st.booleans(),
    least=st.sampled_from([24.0, 32.0, 48.0]),
)
def test_a_face_is_refused_for_the_reason_the_inference_worker_would_give(
    size: float, sharpness: float, frontality: float, exposure: float, bright: bool, least: float
) -> None:
    ramp = min(max((size - 16) / 48, 0), 1)
    total = (ramp * sharpness * frontality * exposure) ** 0.25
    measure = worker.FaceMeasure(FaceQuality(total, size, sharpness, frontality, exposure), bright)
    seen = faces(size, sharpness, frontality, exposure, total, bright=bright)
    assert unusable_reasons(seen, least) == [
        worker.unusable_reason(measure, least, worker.QualityPolicy())
    ]


def faces(*measures: float, bright: bool) -> FacesSeen:
    size, sharpness, frontality, exposure, total = (np.array([m]) for m in measures)
    return FacesSeen(
        row=np.array([0]),
        xyxy=np.zeros((1, 4)),
        landmarks=np.zeros((1, 5, 2)),
        score=np.ones(1),
        size_px=size,
        sharpness=sharpness,
        frontality=frontality,
        exposure=exposure,
        total=total,
        is_bright=np.array([bright]),
    )


# --- embeddings -------------------------------------------------------------------------------

COUNT = 400
STRANGERS = tuple(Person(i, "shopper", is_regular=False, height_m=1.7) for i in range(COUNT))
TWINS = tuple(
    Person(COUNT + i, "shopper", is_regular=False, height_m=1.7, look_alike_of=i)
    for i in range(COUNT)
)


@pytest.fixture(scope="module")
def bank() -> FaceBank:
    return FaceBank(3, (*STRANGERS, *TWINS), 0.75)


def photos(
    bank: FaceBank, size_px: float, visit: int = 0, people: tuple[Person, ...] = STRANGERS
) -> np.ndarray:
    """Return one photo of each person, each on its own visit, at one face size."""
    shown = [(Stay(visit + p.index, p, 0, None, "browsed", None), 0) for p in people]
    rng = np.random.default_rng([visit, int(size_px)])
    return bank.photos(shown, np.full(len(shown), size_px), rng)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float32) * b.astype(np.float32)).sum(axis=1)


def test_photos_are_unit_vectors_as_the_codec_demands(bank: FaceBank) -> None:
    for photo in photos(bank, 50.0):
        vector = unpack_embedding(photo.tobytes(), DIMENSION)
        assert np.linalg.norm(photo.astype(np.float64)) == pytest.approx(1, abs=1e-3)
        assert pack_embedding(vector)[:8] is not None


def test_two_photos_of_one_person_resemble_each_other_as_measured(bank: FaceBank) -> None:
    same = cosines(photos(bank, 60.0), photos(bank, 60.0, visit=10_000))
    assert same.mean() == pytest.approx(0.71, abs=0.02)
    assert same.std() == pytest.approx(0.11, abs=0.02)


def test_strangers_do_not_resemble_each_other(bank: FaceBank) -> None:
    one = photos(bank, 60.0).astype(np.float32)
    across = (one @ one.T)[~np.eye(COUNT, dtype=bool)]
    assert across.mean() == pytest.approx(0.02, abs=0.01)
    assert across.std() == pytest.approx(0.1, abs=0.02)
    assert across.max() < 0.5


@pytest.mark.parametrize(("size_px", "accepted"), [(24, 0.67), (32, 0.95), (48, 0.99)])
def test_small_faces_are_recognised_less_often_as_measured(
    bank: FaceBank, size_px: float, accepted: float
) -> None:
    same = np.concatenate(
        [cosines(photos(bank, size_px, v), photos(bank, size_px, v + 50_000)) for v in (0, 10_000)]
    )
    assert np.mean(same >= 0.45) == pytest.approx(accepted, abs=0.05)


def test_photos_of_one_occasion_are_more_alike_than_those_of_two(bank: FaceBank) -> None:
    again = bank.photos(
        [(Stay(p.index, p, 0, None, "browsed", None), 0) for p in STRANGERS],
        np.full(COUNT, 60.0),
        np.random.default_rng(77),
    )
    assert cosines(photos(bank, 60.0), again).mean() > 0.8


def test_look_alikes_would_pass_for_each_other_more_often_than_not(bank: FaceBank) -> None:
    alike = cosines(photos(bank, 60.0), photos(bank, 60.0, 20_000, TWINS))
    assert alike.mean() == pytest.approx(0.54, abs=0.03)
    assert np.mean(alike > 0.44) > 0.7


def test_a_face_does_not_depend_on_whose_was_drawn_before() -> None:
    people = (*STRANGERS, *TWINS)
    one, other = FaceBank(3, people, 0.75), FaceBank(3, people, 0.75)
    late = one.face(COUNT + 7)
    for number in range(20):
        other.face(number)
    assert (other.face(COUNT + 7) == late).all()
    assert not (FaceBank(4, people, 0.75).face(7) == one.face(7)).any()
