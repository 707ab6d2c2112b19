"""A track without a usable face is linked by its body within one visit; a face overrides it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.flows.shop import FPS, NOON, SITE, Person, detection, visit
from tests.flows.test_identity_resolver import DOOR, TILL, Shop

from trinetra.events.codec import pack_body
from trinetra.events.customers import Customer, erasure_digest
from trinetra.events.schema import AnyEvent, DetectionEvent, IdentityEvent, TracksEvent
from trinetra.identities.body_linker import BodyLinker
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import advance
from trinetra.identities.gate.topology import Sighting
from trinetra.identities.state.partition import PartitionState
from trinetra.identities.state.snapshot import restore
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.values import CameraId, CustomerId, IdentityKind

ANNA, BEN = Person(1), Person(2)
SMALL_PX = 20.0
"""Size of a face that is too small to compare."""


def body(person: Person, rng: np.random.Generator) -> bytes:
    """Return a picture of a person's body: two of one person have a cosine near 0.7."""
    look = np.random.default_rng(1000 + person.seed).normal(size=256)
    noise = rng.normal(size=256)
    vector = look / np.linalg.norm(look) + 0.65 * noise / np.linalg.norm(noise)
    return pack_body((vector / np.linalg.norm(vector)).astype(np.float32))


def dressed(events: Iterable[DetectionEvent], people: list[Person]) -> Iterator[DetectionEvent]:
    """Yield the events with the people's bodies."""
    rng = np.random.default_rng(5)
    for event in events:
        objects = tuple(
            msgspec.structs.replace(seen, body=body(person, rng))
            for seen, person in zip(event.objects, people, strict=False)
        )
        yield msgspec.structs.replace(event, objects=objects, models={"body_embed": "reid@1"})


def seen(
    camera: CameraId,
    start_s: float,
    people: list[Person],
    *,
    face_px: float = 50,
    seconds: float = 4,
) -> list[DetectionEvent]:
    """Return people walking past a camera, and its empty view until every track has ended."""
    walk = visit(camera, start_s, people, face_px=face_px, seconds=seconds)
    empty = [NOON + timedelta(seconds=start_s + seconds + 3 + n) for n in range(12)]
    return [*dressed(walk, people), *[detection(camera, at, []) for at in empty]]


def decided(events: list[AnyEvent], camera: CameraId) -> list[IdentityEvent]:
    return [e for e in events if isinstance(e, IdentityEvent) and e.camera_id == camera]


def customer_at(events: list[AnyEvent], camera: CameraId) -> CustomerId | None:
    """Return the first customer that a camera identified."""
    return next((e.customer_id for e in decided(events, camera) if e.customer_id), None)


async def test_a_person_without_a_face_is_linked_to_the_customer_of_the_same_visit() -> None:
    small = seen(TILL, 60, [ANNA], face_px=SMALL_PX)
    events = await Shop().resolve(seen(DOOR, 0, [ANNA]) + seen(DOOR, 20, [BEN]) + small)
    (link,) = decided(events, TILL)
    assert (link.status, link.customer_id, link.linked) == (
        "known",
        customer_at(events, DOOR),
        True,
    )
    assert link.reasons == ("same_body", "gate_plausible")
    assert link.evidence.faces_used == 0
    assert link.evidence.body is not None
    assert link.evidence.body.cosine > link.evidence.body.threshold
    assert (link.evidence.body.from_camera, link.evidence.body.compared) == (DOOR, 2)
    assert link.evidence.gate[0].verdict == "plausible"
    frames = [e for e in events if isinstance(e, TracksEvent) and e.camera_id == TILL]
    named = [track for frame in frames for track in frame.tracks if track.customer_id]
    assert named
    assert all(track.linked for track in named)


async def test_a_person_who_returns_to_a_view_is_linked() -> None:
    events = await Shop().resolve(seen(DOOR, 0, [ANNA]) + seen(DOOR, 60, [ANNA], face_px=SMALL_PX))
    link = decided(events, DOOR)[-1]
    assert (link.customer_id, link.linked) == (customer_at(events, DOOR), True)
    assert link.reasons == ("same_body", "same_view")


@pytest.mark.parametrize(
    ("start_s", "distance_m", "who"),
    [(8.0, 400.0, ANNA), (1860.0, 40.0, ANNA), (60.0, 40.0, BEN)],
    ids=["cannot have walked", "after the visit", "another person"],
)
async def test_no_link_without_a_possible_walk_a_visit_and_a_likeness(
    start_s: float, distance_m: float, who: Person
) -> None:
    small = seen(TILL, start_s, [who], face_px=SMALL_PX)
    events = await Shop(distance_m).resolve(seen(DOOR, 0, [ANNA]) + small)
    assert [e.status for e in decided(events, TILL)] == ["unknown"]


async def test_no_link_to_a_customer_who_is_in_view_on_another_track() -> None:
    alike = dressed(visit(DOOR, 0, [ANNA, BEN], seconds=6), [ANNA, ANNA])
    one_face = [msgspec.structs.replace(event, faces=event.faces[:1]) for event in alike]
    events = await Shop().resolve(one_face)
    assert not any(event.linked for event in decided(events, DOOR))


async def test_a_later_face_of_another_person_ends_the_link() -> None:
    far = seen(TILL, 60, [ANNA], face_px=SMALL_PX, seconds=7)
    near = list(dressed(visit(TILL, 60, [BEN], seconds=7), [ANNA]))
    events = await Shop().resolve(seen(DOOR, 0, [ANNA]) + far[:15] + near[15:])
    link, *_, last = decided(events, TILL)
    assert (link.customer_id, link.linked) == (customer_at(events, DOOR), True)
    assert last.status == "new"
    assert last.customer_id != link.customer_id
    assert not last.linked
    assert not last.since  # it replaces the link for the whole track


async def test_a_later_face_of_the_same_person_confirms_the_link() -> None:
    far = seen(TILL, 60, [ANNA], face_px=SMALL_PX, seconds=7)
    near = seen(TILL, 60, [ANNA], seconds=7)
    events = await Shop().resolve(seen(DOOR, 0, [ANNA]) + far[:15] + near[15:])
    link, confirmed = decided(events, TILL)
    assert link.linked
    assert (confirmed.status, confirmed.customer_id) == ("known", link.customer_id)
    assert not confirmed.linked
    assert "similar" in confirmed.reasons


async def test_a_link_stands_in_no_faces_way() -> None:
    """The gate judges a face by where faces were seen, not by where a body was taken for one."""
    walk = seen(DOOR, 0, [ANNA]) + seen(TILL, 300, [ANNA], face_px=SMALL_PX)
    events = await Shop(distance_m=400).resolve(walk + seen(DOOR, 305, [ANNA]))
    assert decided(events, TILL)[0].linked
    last = decided(events, DOOR)[-1]
    assert (last.status, last.customer_id) == ("known", customer_at(events, DOOR))


async def test_links_can_be_switched_off() -> None:
    shop, off = Shop(), 0.0
    links = replace(shop.context.policy.links, false_link_rate=off)
    shop.context.policy = replace(shop.context.policy, links=links)
    events = await shop.resolve(seen(DOOR, 0, [ANNA]) + seen(TILL, 60, [ANNA], face_px=SMALL_PX))
    assert [e.status for e in decided(events, TILL)] == ["unknown"]


# --- what is kept ---------------------------------------------------------------------------------

CUSTOMER = CustomerId("cus_anna")


def state_with_a_known_body() -> tuple[PartitionState, bytes]:
    """Return a partition with a customer in view, and the bytes of the customer's body."""
    state = PartitionState(number=1)
    camera = state.camera(DOOR, (16, 1.0))
    frames = [detection(DOOR, NOON + timedelta(seconds=n / FPS), [(ANNA, 100.0)]) for n in range(9)]
    for frame in dressed(frames, [ANNA]):
        advance(camera, frame, site_id=SITE, dimension=512, policy=TrackerPolicy())
        state.changed.add(DOOR)
    (identity,) = camera.identities.values()
    identity.decision = Decision("known", ("similar",), CUSTOMER, IdentityKind.ANONYMOUS)
    assert identity.body is not None
    state.bodies.note(CUSTOMER, DOOR, identity.body)
    return state, identity.body.vector


def test_the_bodies_of_a_visit_survive_a_restart() -> None:
    state, vector = state_with_a_known_body()
    values = {key: value for key, value in state.take_changes("test@1").items() if value}
    found = restore(values, model="test@1", dimension=512, window=(16, 1.0))
    assert found.faults == []
    again = PartitionState.restored(2, values, found)
    assert again.bodies.known == state.bodies.known
    (identity,) = again.cameras[DOOR].identities.values()
    assert identity.body is not None
    assert identity.body.vector == vector
    assert again.take_changes("test@1") == {}


def test_no_byte_of_a_body_is_left_in_the_state_after_an_erasure() -> None:
    state, mean = state_with_a_known_body()
    (track,) = state.cameras[DOOR].tracker.tracks
    assert track.body is not None
    values = state.take_changes("test@1")
    for vector in (mean, track.body):
        assert any(vector in value for value in values.values() if value)

    state.forget(CUSTOMER.__eq__)
    assert state.forgets
    values |= state.take_changes("test@1")

    for vector in (mean, track.body):
        assert not any(vector in value for value in values.values() if value)


def test_nothing_is_learned_of_the_body_of_a_person_who_was_erased_in_view() -> None:
    state, _ = state_with_a_known_body()
    state.forget(CUSTOMER.__eq__)
    camera = state.cameras[DOOR]
    later = detection(DOOR, NOON + timedelta(seconds=2), [(ANNA, 100.0)])
    for frame in dressed([later], [ANNA]):
        advance(camera, frame, site_id=SITE, dimension=512, policy=TrackerPolicy())
    camera.drop_left_out_bodies()
    assert [identity.body for identity in camera.identities.values()] == [None]
    assert [track.body for track in camera.tracker.tracks] == [None]


HOME = ("trinetra.detections", 0)


def linked_at_the_till(shop: Shop) -> list[CustomerId | None]:
    """Return the customers of the tracks of a person without a face, a minute after the door."""
    state, _ = state_with_a_known_body()
    shop.context.partitions[HOME] = state
    at_door = Sighting(DOOR, NOON, NOON + timedelta(seconds=2))
    shop.context.registry.see(CUSTOMER, IdentityKind.ANONYMOUS, at_door)
    linker, camera = BodyLinker(shop.context), state.camera(TILL, (16, 1.0))
    for frame in seen(TILL, 60, [ANNA], face_px=SMALL_PX)[:15]:
        outcome = advance(camera, frame, site_id=SITE, dimension=512, policy=TrackerPolicy())
        linker.step(HOME, TILL, outcome)
    return [identity.customer_id for identity in camera.identities.values()]


def test_a_customer_who_opted_out_or_was_erased_meanwhile_is_never_linked() -> None:
    shop = Shop()
    assert linked_at_the_till(shop) == [CUSTOMER]
    out = Customer(CUSTOMER, IdentityKind.OPTED_OUT, None, False, None, NOON)
    shop.context.directory.customers[CUSTOMER] = out
    assert linked_at_the_till(shop) == [None]
    del shop.context.directory.customers[CUSTOMER]
    assert linked_at_the_till(shop) == [CUSTOMER]
    shop.context.directory.erased.add(erasure_digest(CUSTOMER))
    assert linked_at_the_till(shop) == [None]


def test_a_body_that_another_track_disproves_is_forgotten() -> None:
    shop = Shop()
    state, _ = state_with_a_known_body()
    shop.context.partitions[HOME] = state
    linker = BodyLinker(shop.context)
    linker.unlearn(TILL, Decision("known", ("similar",), CUSTOMER, IdentityKind.ANONYMOUS))
    assert len(state.bodies.known) == 1
    linker.unlearn(DOOR, Decision("known", ("similar",), CUSTOMER, IdentityKind.ANONYMOUS))
    assert state.bodies.known == {}
