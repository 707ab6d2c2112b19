"""The active registry: bounded, forgetful, and right about where people were."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.registry import ActiveRegistry
from trinetra.identities.topology import Sighting
from trinetra.values import CameraId, CustomerId, IdentityKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR, TILL = CameraId("door"), CameraId("till")
ANNA = CustomerId("anna")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def see(registry: ActiveRegistry, who: str, where: CameraId, start: float, end: float) -> None:
    registry.see(CustomerId(who), IdentityKind.ANONYMOUS, Sighting(where, at(start), at(end)))


def test_a_stay_grows_while_it_lasts_and_starts_anew_after_a_gap() -> None:
    registry = ActiveRegistry(stretch_gap_s=10)
    see(registry, "anna", DOOR, 0, 1)
    see(registry, "anna", DOOR, 5, 6)
    assert list(registry.elsewhere(ANNA, TILL)) == [Sighting(DOOR, at(0), at(6))]
    see(registry, "anna", DOOR, 100, 101)
    assert list(registry.elsewhere(ANNA, TILL)) == [Sighting(DOOR, at(100), at(101))]


def test_what_is_seen_here_is_not_elsewhere() -> None:
    registry = ActiveRegistry()
    see(registry, "anna", DOOR, 0, 1)
    assert list(registry.elsewhere(ANNA, DOOR)) == []
    assert list(registry.elsewhere(CustomerId("ben"), DOOR)) == []


def test_identities_are_evicted_after_their_time_to_live() -> None:
    registry = ActiveRegistry(ttl_s=60)
    see(registry, "anna", DOOR, 0, 0)
    see(registry, "ben", DOOR, 50, 50)
    assert registry.evict(at(61)) == 1
    assert registry.get(ANNA) is None
    assert len(registry) == 1


def test_a_late_report_does_not_make_an_identity_older() -> None:
    registry = ActiveRegistry(ttl_s=60)
    see(registry, "anna", DOOR, 100, 100)
    see(registry, "anna", TILL, 20, 30)
    presence = registry.get(ANNA)
    assert presence is not None
    assert presence.seen_at == at(100)


def test_a_forgotten_identity_is_gone() -> None:
    registry = ActiveRegistry()
    see(registry, "anna", DOOR, 0, 1)
    registry.forget(ANNA)
    assert registry.get(ANNA) is None


@given(who=st.lists(st.integers(0, 30), max_size=120), bound=st.integers(1, 10))
def test_the_registry_keeps_the_most_recent_and_never_more_than_its_bound(
    who: list[int], bound: int
) -> None:
    registry = ActiveRegistry(max_identities=bound)
    for second, number in enumerate(who):
        see(registry, str(number), DOOR, second, second)
        assert len(registry) <= bound
    recent = list(dict.fromkeys(reversed(who)))[:bound]
    assert all(registry.get(CustomerId(str(n))) for n in recent)
