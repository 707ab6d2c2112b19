"""The active registry: bounded, expiring, and correct about where people were."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import Sighting
from trinetra.values import CameraId, CustomerId, IdentityKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR, TILL = CameraId("door"), CameraId("till")
ANNA = CustomerId("anna")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def see(registry: ActiveRegistry, who: str, where: CameraId, start: float, end: float) -> None:
    registry.see(CustomerId(who), IdentityKind.ANONYMOUS, Sighting(where, at(start), at(end)))


def test_an_identity_that_never_leaves_is_found_until_it_is_absent_for_the_time_to_live() -> None:
    registry = ActiveRegistry(ttl_s=1800)
    for hour in range(13):
        registry.evict(at(hour * 3600))
        for minutes in (0, 25, 50):
            seen_s = hour * 3600 + minutes * 60
            see(registry, "poster", DOOR, seen_s, seen_s)
        see(registry, "regular", DOOR, hour * 3600, hour * 3600)
        found = [presence.customer_id for presence in registry.always_present(12 * 3600.0)]
        assert found == (["poster"] if hour == 12 else [])
    registry.join(CustomerId("poster"), CustomerId("regular"))
    assert [p.customer_id for p in registry.always_present(12 * 3600.0)] == ["regular"]


def test_a_stay_grows_while_it_lasts_and_starts_anew_after_a_gap() -> None:
    registry = ActiveRegistry(segment_gap_s=10)
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


def test_a_clock_that_ran_ahead_and_was_set_right_leaves_nobody_for_ever() -> None:
    registry = ActiveRegistry(ttl_s=60)
    see(registry, "anna", DOOR, 1_000_000, 1_000_000)
    see(registry, "ben", DOOR, 0, 0)
    assert registry.evict(at(1)) == 1
    assert registry.get(ANNA) is None


def test_what_a_camera_saw_later_than_its_next_session_starts_is_retracted() -> None:
    registry = ActiveRegistry()
    see(registry, "anna", DOOR, 0, 5)
    see(registry, "anna", TILL, 100, 101)
    see(registry, "ben", TILL, 20, 101)
    see(registry, "cleo", TILL, 20, 30)
    registry.retract(TILL, at(40))
    assert list(registry.elsewhere(ANNA, TILL)) == [Sighting(DOOR, at(0), at(5))]
    assert list(registry.elsewhere(ANNA, DOOR)) == []
    assert registry.get(CustomerId("ben")) is None
    assert len(registry) == 2
    assert registry.evict(at(1850)) == 2  # each at the time of what is left of it


SEEN = st.lists(st.tuples(st.integers(0, 8), st.floats(0, 300)), max_size=60)


@given(seen=SEEN, now=st.floats(0, 400))
def test_however_late_and_unordered_reports_come_only_what_is_old_is_evicted(
    seen: list[tuple[int, float]], now: float
) -> None:
    registry = ActiveRegistry(ttl_s=100)
    for number, second in seen:
        see(registry, str(number), DOOR, second, second)
    last: dict[int, float] = {}
    for number, second in seen:
        last[number] = max(second, last.get(number, second))
    gone = {n for n, second in last.items() if not at(now - 100) <= at(second) <= at(now + 100)}
    assert registry.evict(at(now)) == len(gone)
    assert {n for n in last if registry.get(CustomerId(str(n))) is None} == gone


@given(seen=SEEN, bound=st.integers(1, 4))
def test_of_too_many_the_one_seen_longest_ago_gives_way(
    seen: list[tuple[int, float]], bound: int
) -> None:
    registry = ActiveRegistry(max_identities=bound)
    last: dict[int, float] = {}
    for number, second in seen:
        known = registry.get(CustomerId(str(number)))
        see(registry, str(number), DOOR, second, second)
        last[number] = max(second, last[number]) if known else second
        kept = {n for n in last if registry.get(CustomerId(str(n)))}
        went = last.keys() - kept
        assert len(kept) == min(bound, len(last))
        # Instants have microseconds: 299.9999999 s after the start is 300 s.
        whole = {n: int(round(second, 6)) for n, second in last.items()}
        assert all(whole[n] <= min(whole[k] for k in kept) for n in went)
        last = {n: last[n] for n in kept}


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


# --- kinds, merges, and the times that walks take ---------------------------------------------


def test_an_identity_has_the_kind_that_was_said_last() -> None:
    registry = ActiveRegistry()
    see(registry, "anna", DOOR, 0, 1)
    registry.see(ANNA, IdentityKind.VIP, Sighting(DOOR, at(2), at(3)))
    presence = registry.get(ANNA)
    assert presence is not None
    assert (presence.customer_id, presence.kind) == (ANNA, IdentityKind.VIP)


def test_of_two_separate_segments_in_one_view_the_later_is_kept_whichever_is_reported_first() -> (
    None
):
    for order in ((0, 100), (100, 0)):
        registry = ActiveRegistry(segment_gap_s=10)
        for start in order:
            see(registry, "anna", DOOR, start, start + 5)
        assert list(registry.elsewhere(ANNA, TILL)) == [Sighting(DOOR, at(100), at(105))]


def test_a_gap_of_just_the_limit_does_not_end_a_segment() -> None:
    registry = ActiveRegistry(segment_gap_s=10)
    see(registry, "anna", DOOR, 0, 5)
    see(registry, "anna", DOOR, 15, 16)
    assert list(registry.elsewhere(ANNA, TILL)) == [Sighting(DOOR, at(0), at(16))]


def test_a_merge_keeps_the_kind_of_the_survivor_or_else_of_the_merged() -> None:
    ben = CustomerId("ben")
    registry = ActiveRegistry()
    registry.see(ANNA, IdentityKind.ANONYMOUS, Sighting(DOOR, at(0), at(1)))
    registry.see(ben, IdentityKind.VIP, Sighting(TILL, at(5), at(6)))
    registry.join(ANNA, ben)
    survivor = registry.get(ben)
    assert survivor is not None
    assert (survivor.kind, survivor.seen_at) == (IdentityKind.VIP, at(6))
    registry.join(ben, ANNA)
    survivor = registry.get(ANNA)
    assert survivor is not None
    assert (survivor.kind, survivor.sightings.keys()) == (IdentityKind.VIP, {DOOR, TILL})


def test_joining_an_identity_that_is_not_on_site_changes_nothing() -> None:
    registry = ActiveRegistry()
    see(registry, "anna", DOOR, 0, 1)
    registry.join(CustomerId("ben"), ANNA)
    assert len(registry) == 1


def test_erased_identities_are_removed_and_counted() -> None:
    registry = ActiveRegistry()
    for who in ("anna", "ben", "cleo"):
        see(registry, who, DOOR, 0, 1)
    assert registry.forget_all({ANNA, CustomerId("ben"), CustomerId("dan")}.__contains__) == 2
    assert registry.get(ANNA) is None
    assert len(registry) == 1


def walks(registry: ActiveRegistry, count: int, gone_s: float) -> None:
    """Let people walk from the door to the till, each seen in several frames of both views."""
    for number in range(count):
        who = f"walker{number}"
        see(registry, who, DOOR, 0, 5)
        see(registry, who, TILL, 5 + gone_s, 6 + gone_s)
        see(registry, who, TILL, 7 + gone_s, 8 + gone_s)


def test_walks_between_views_teach_how_long_they_take_once_each() -> None:
    registry = ActiveRegistry()
    walks(registry, 30, 20.0)
    usual = registry.times.usual(DOOR, TILL)
    assert usual is not None
    assert usual.median_s == pytest.approx(20.0)
    assert 29 < usual.weight <= 30
    assert registry.times.usual(TILL, DOOR) is None


def test_a_walk_counts_from_the_view_that_was_left_last() -> None:
    aisle, registry = CameraId("aisle"), ActiveRegistry()
    for number in range(30):
        see(registry, f"walker{number}", DOOR, 0, 5)
        see(registry, f"walker{number}", aisle, 10, 15)
        see(registry, f"walker{number}", TILL, 30, 31)
    from_aisle = registry.times.usual(aisle, TILL)
    assert from_aisle is not None
    assert from_aisle.median_s == pytest.approx(15.0)
    assert registry.times.usual(DOOR, TILL) is None


def test_a_return_after_a_gap_is_a_walk_again() -> None:
    registry = ActiveRegistry(segment_gap_s=10)
    for number in range(30):
        who = f"walker{number}"
        see(registry, who, TILL, 0, 5)
        see(registry, who, DOOR, 20, 25)
        see(registry, who, TILL, 55, 60)
    back = registry.times.usual(DOOR, TILL)
    assert back is not None
    assert back.median_s == pytest.approx(30.0)


def test_an_identity_of_just_its_time_to_live_stays() -> None:
    registry = ActiveRegistry(ttl_s=60)
    see(registry, "anna", DOOR, 0, 0)
    see(registry, "ben", DOOR, 120, 120)
    assert registry.evict(at(60)) == 0
    assert registry.evict(at(60.001)) == 1
    assert registry.get(ANNA) is None


def test_many_sightings_of_few_people_take_no_more_memory() -> None:
    registry = ActiveRegistry(max_identities=2)
    for second in range(2_000):
        see(registry, "anna", DOOR, second, second)
    see(registry, "ben", DOOR, 2_000, 2_000)
    see(registry, "cleo", DOOR, 2_001, 2_001)
    assert registry.get(ANNA) is None
    assert len(registry) == 2
