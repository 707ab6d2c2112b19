"""Faces of simulated people: who is seen, photos of real people, and synthetic ones."""

import numpy as np
import pytest
from tests.unit.twin.test_sensing import AISLE, look, standing

from trinetra.errors import ConfigurationError
from trinetra.events.codec import unpack_embedding
from trinetra.twin.embeddings import DIMENSION, SyntheticFaces
from trinetra.twin.face_bank import FaceBank
from trinetra.twin.faces import heads_in_view
from trinetra.twin.noise import load_noise
from trinetra.twin.people import Person
from trinetra.twin.portraits import BLURS, MEASURES, SIZES_PX, TAKES, Observed, Portraits
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Behavior, Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.world import Stay

NOISE = load_noise().faces
COUNT = 400
STRANGERS = tuple(Person(i, "shopper", is_regular=False, height_m=1.7) for i in range(COUNT))
TWINS = tuple(
    Person(COUNT + i, "shopper", is_regular=False, height_m=1.7, look_alike_of=i)
    for i in range(COUNT)
)
LARGE, SMALL = SIZES_PX[-1], 50.0


@pytest.fixture(scope="module")
def bank() -> SyntheticFaces:
    return SyntheticFaces(3, (*STRANGERS, *TWINS), 0.75)


def observe(
    bank: SyntheticFaces,
    size_px: float = LARGE,
    visit: int = 0,
    people: tuple[Person, ...] = STRANGERS,
    frame: int = 0,
) -> Observed:
    """Return one photo of each person, each on its own visit, at one face size."""
    shown = [(Stay(visit + p.index, p, 0, None, "browsed", None), 0) for p in people]
    rng = np.random.default_rng([visit, int(size_px), frame])
    size, blur = np.full(len(shown), size_px), np.zeros(len(shown))
    return bank.observe(shown, size, blur, rng)


def cosines(a: Observed, b: Observed) -> np.ndarray:
    """Return the cosines of those usable in both."""
    both = [not x and not y for x, y in zip(a.reason, b.reason, strict=True)]
    rows = np.flatnonzero(a.found & b.found & both)
    one, other = (of.embedding[rows].astype(np.float32) for of in (a, b))
    return (one * other).sum(axis=1)


def test_embeddings_are_unit_vectors_as_the_codec_demands(bank: SyntheticFaces) -> None:
    seen = observe(bank)
    for row in np.flatnonzero(seen.found)[:50]:
        if not seen.reason[row]:
            vector = unpack_embedding(seen.embedding[row].tobytes(), DIMENSION)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size_px", SIZES_PX[4:])
def test_faces_are_found_as_often_as_measured(bank: SyntheticFaces, size_px: float) -> None:
    seen = observe(bank, size_px)
    usable = np.mean([f and not r for f, r in zip(seen.found, seen.reason, strict=True)])
    assert usable == pytest.approx(NOISE.reason[0][SIZES_PX.index(size_px)][0], abs=0.06)


def test_small_faces_are_refused_for_the_measured_reasons(bank: SyntheticFaces) -> None:
    seen = observe(bank, 33.0)
    assert {r for f, r in zip(seen.found, seen.reason, strict=True) if f} >= {"", "too_small"}


def test_two_photos_of_one_person_resemble_each_other_as_measured(bank: SyntheticFaces) -> None:
    same = cosines(observe(bank), observe(bank, visit=10_000))
    assert same.mean() == pytest.approx(NOISE.cosine[-1][0], abs=0.03)
    assert same.std() == pytest.approx(NOISE.cosine_deviation, abs=0.03)


def test_small_faces_resemble_less_as_measured(bank: SyntheticFaces) -> None:
    same = cosines(observe(bank, SMALL), observe(bank, visit=10_000))
    assert same.mean() == pytest.approx(NOISE.cosine[SIZES_PX.index(SMALL)][0], abs=0.03)


def test_photos_of_one_occasion_are_as_alike_as_takes_of_one_photo(bank: SyntheticFaces) -> None:
    again = cosines(observe(bank), observe(bank, frame=1))
    assert again.mean() == pytest.approx(NOISE.cosine_of_takes[-1][0], abs=0.04)


def test_strangers_deviate_as_measured(bank: SyntheticFaces) -> None:
    seen = observe(bank)
    usable = np.flatnonzero(seen.found & np.array([not r for r in seen.reason]))
    one = seen.embedding[usable].astype(np.float32)
    across = (one @ one.T)[~np.eye(len(one), dtype=bool)]
    assert across.mean() == pytest.approx(NOISE.stranger_cosine, abs=0.01)
    assert across.std() == pytest.approx(NOISE.stranger_deviation, abs=0.01)


def test_look_alikes_resemble_each_other_more_than_strangers(bank: SyntheticFaces) -> None:
    alike = cosines(observe(bank), observe(bank, visit=20_000, people=TWINS))
    assert alike.mean() > NOISE.stranger_cosine + 3 * NOISE.stranger_deviation


def test_a_face_does_not_depend_on_whose_was_drawn_before() -> None:
    people = (*STRANGERS, *TWINS)
    one, other = SyntheticFaces(3, people, 0.75), SyntheticFaces(3, people, 0.75)
    late = one.face(COUNT + 7)
    for number in range(20):
        other.face(number)
    assert (other.face(COUNT + 7) == late).all()
    assert not (SyntheticFaces(4, people, 0.75).face(7) == one.face(7)).any()


# --- who is seen ------------------------------------------------------------------------------


def test_a_face_is_seen_from_the_front_and_not_from_behind() -> None:
    bodies = look([standing(0, 11.5, 13.0)], 1)
    mount = AISLE.view.mount
    toward = np.arctan2(mount.y_m - bodies.y, mount.x_m - bodies.x)
    for facing, seen in ((toward, 1), (toward + np.pi, 0)):
        turned = type(bodies)(**{**columns(bodies), "facing": facing})
        heads = heads_in_view(AISLE, turned, np.array([1.7]), np.random.default_rng(1))
        assert len(heads) == seen


def test_only_motion_across_the_view_blurs() -> None:
    bodies = look([standing(0, 11.5, 13.0)], 1)
    mount = AISLE.view.mount
    toward = np.arctan2(mount.y_m - bodies.y, mount.x_m - bodies.x)
    blurs = []
    for turn in (0.0, 0.5):
        walking = {"facing": toward + turn, "speed": np.array([1.3])}
        turned = type(bodies)(**{**columns(bodies), **walking})
        heads = heads_in_view(AISLE, turned, np.array([1.7]), np.random.default_rng(1))
        blurs.append(float(heads.blur[0]))
    assert blurs[0] < blurs[1]


def columns(bodies: object) -> dict[str, np.ndarray]:
    return {name: getattr(bodies, name) for name in type(bodies).__dataclass_fields__}


# --- photos -----------------------------------------------------------------------------------


def portraits(people: int, photos: int) -> Portraits:
    """Return photos that are told apart by their embedding: photo ``i`` is unit vector ``i``."""
    shape = (people * photos, len(SIZES_PX), len(BLURS), TAKES)
    embedding = np.zeros((*shape, 64), np.float16)
    for photo in range(shape[0]):
        embedding[photo, ..., photo] = 1
    return Portraits(
        np.repeat(np.arange(people), photos),
        ("",),
        np.ones(shape, np.bool_),
        np.ones((*shape, len(MEASURES)), np.float32),
        np.zeros((*shape, 4), np.float32),
        np.zeros((*shape, 5, 2), np.float32),
        np.zeros(shape, np.int8),
        embedding,
    )


def with_photos(of: Portraits) -> Twin:
    return Twin(built_in_shop(), Scenario(5, 60.0, 0.2), portraits=of)


def photo_of(faces: FaceBank, stay: Stay, camera: int) -> int:
    seen = faces.observe([(stay, camera)], np.array([60.0]), np.zeros(1), np.random.default_rng(1))
    return int(seen.embedding[0].argmax())


def test_no_two_people_have_the_photos_of_one_real_person() -> None:
    twin = with_photos(portraits(10, 4))
    stays = [stay for stay in twin.world.stays if stay.person.index < 10]
    owner: dict[int, int] = {}
    for stay in stays:
        real = photo_of(twin.faces, stay, 0) // 4
        assert owner.setdefault(real, stay.person.index) == stay.person.index
    assert len(owner) > 5


def test_people_without_photos_have_synthetic_faces_and_are_reported() -> None:
    twin = with_photos(portraits(3, 4))
    people = [stay.person.index for stay in twin.world.stays]
    assert twin.faces.with_photos(people) == len({p for p in people if p < 3})
    stay = next(stay for stay in twin.world.stays if stay.person.index >= 3)
    seen = twin.faces.observe([(stay, 0)], np.array([LARGE]), np.zeros(1), np.random.default_rng(0))
    assert np.count_nonzero(seen.embedding[0]) > 30


def test_every_camera_of_a_visit_sees_another_photo() -> None:
    twin = with_photos(portraits(10, 4))
    stay = next(stay for stay in twin.world.stays if stay.person.index < 10)
    reading = [i for i, view in enumerate(twin.plan.views) if view.reads_faces]
    assert len({photo_of(twin.faces, stay, camera) for camera in reading}) == len(reading)


def test_photos_have_no_look_alikes() -> None:
    scenario = Scenario(5, 60.0, 0.2, behavior=Behavior(look_alike_share=0.1))
    twin = Twin(built_in_shop(), scenario, portraits=portraits(3, 2))
    with pytest.raises(ConfigurationError, match="no look-alikes"):
        _ = twin.faces
