"""Alerts: raised once per cooldown, despite clock changes and repeated outages."""

from datetime import UTC, datetime, timedelta

import pytest

from trinetra.events.schema import AlertEvent, GateEvidence
from trinetra.identities.decision.alerts import (
    Arrivals,
    faces_drift,
    impossible_transition,
)
from trinetra.identities.decision.drift import Finding
from trinetra.values import CameraId, CustomerId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOOR = CameraId("door")


def told(arrivals: Arrivals, seconds: float, who: str = "ann") -> bool:
    at = NOON + timedelta(seconds=seconds)
    kind = IdentityKind.VIP
    return bool(arrivals.announce(DOOR, at, TrackId("t"), CustomerId(who), kind))


def test_a_camera_whose_clock_is_behind_does_not_announce_anew() -> None:
    arrivals = Arrivals(SiteId("shop"), 300.0)
    assert [told(arrivals, s) for s in (0, -1, 5, 299, 301)] == [True, False, False, False, True]


def test_a_frame_that_is_decided_again_is_announced_again() -> None:
    arrivals = Arrivals(SiteId("shop"), 300.0)
    assert told(arrivals, 0)
    assert told(arrivals, 0)


def test_a_gallery_that_comes_and_goes_is_told_once_in_a_while() -> None:
    arrivals = Arrivals(SiteId("shop"), 300.0)
    at = [NOON + timedelta(seconds=s) for s in range(0, 601, 10)]
    assert sum(len(arrivals.gallery_unavailable(DOOR, instant)) for instant in at) == 3


def test_whom_was_announced_is_remembered_within_a_bound() -> None:
    arrivals = Arrivals(SiteId("shop"), 300.0)
    for number in range(10_001):
        told(arrivals, number / 1000, f"cus{number}")
    assert told(arrivals, 11, "cus0")
    assert not told(arrivals, 11, "cus9000")


# --- what an alert says -----------------------------------------------------------------------


def announced(kind: IdentityKind, seconds: float = 0, who: str = "ann") -> list[AlertEvent]:
    return Arrivals(SiteId("shop"), 300.0).announce(
        DOOR, NOON + timedelta(seconds=seconds), TrackId("t"), CustomerId(who), kind
    )


def test_vips_are_told_and_the_watchlist_is_urgent() -> None:
    [vip] = announced(IdentityKind.VIP)
    [watched] = announced(IdentityKind.WATCHLIST)
    assert (vip.rule, vip.severity) == ("vip", "info")
    assert (watched.rule, watched.severity) == ("watchlist", "critical")
    assert (vip.site_id, vip.camera_id, vip.captured_at) == ("shop", DOOR, NOON)
    assert (vip.track_id, vip.customer_id) == ("t", "ann")


@pytest.mark.parametrize(
    "kind", sorted(set(IdentityKind) - {IdentityKind.VIP, IdentityKind.WATCHLIST})
)
def test_nobody_else_is_announced(kind: IdentityKind) -> None:
    assert announced(kind) == []


def test_resolvers_that_announce_one_arrival_agree_on_its_id_within_a_cooldown() -> None:
    [first], [again] = announced(IdentityKind.VIP, 1), announced(IdentityKind.VIP, 200)
    assert first.event_id == again.event_id
    others = [
        announced(IdentityKind.VIP, 301),
        announced(IdentityKind.VIP, 1, "ben"),
        announced(IdentityKind.WATCHLIST, 1),
    ]
    assert len({first.event_id, *(event.event_id for [event] in others)}) == 4


def gate(**more: object) -> GateEvidence:
    return GateEvidence(
        customer_id=CustomerId("ann"),
        verdict="impossible",
        reason="too_fast",
        from_camera=CameraId("till"),
        **more,
    )


def test_an_impossible_transition_is_told_with_its_figures() -> None:
    found = gate(elapsed_s=2.04, distance_m=99.6, limit_mps=2.5)
    alert = impossible_transition(SiteId("shop"), DOOR, NOON, TrackId("t"), found)
    assert (alert.rule, alert.severity) == ("impossible_transition", "warning")
    assert (alert.site_id, alert.camera_id, alert.captured_at) == ("shop", DOOR, NOON)
    assert (alert.track_id, alert.customer_id) == ("t", "ann")
    assert "till 2.0 s before, 100 m away" in alert.message
    assert alert.detail == {
        "from_camera": "till",
        "distance_m": 99.6,
        "elapsed_s": 2.04,
        "limit_mps": 2.5,
    }


def test_being_in_two_places_needs_no_time() -> None:
    alert = impossible_transition(SiteId("shop"), DOOR, NOON, TrackId("t"), gate(distance_m=9.0))
    assert "till at the same time, 9 m away" in alert.message
    assert (alert.detail["elapsed_s"], alert.detail["limit_mps"]) == (0.0, 0.0)


def test_an_impossible_transition_is_one_alert_per_track_and_customer() -> None:
    ids = {
        impossible_transition(SiteId("shop"), DOOR, at, TrackId(track), gate()).event_id
        for at in (NOON, NOON + timedelta(seconds=9))
        for track in ("t", "u")
    }
    assert len(ids) == 2


def test_an_unavailable_gallery_and_drifting_faces_are_told_for_their_camera() -> None:
    [outage] = Arrivals(SiteId("shop"), 300.0).gallery_unavailable(DOOR, NOON)
    assert (outage.rule, outage.severity) == ("gallery_unavailable", "critical")
    drift = faces_drift(SiteId("shop"), NOON, Finding(DOOR, "quality", 0.31415, is_news=True))
    assert (drift.rule, drift.severity) == ("faces_drift", "warning")
    assert drift.detail == {"quantity": "quality", "psi": 0.314}
    for alert in (outage, drift):
        assert (alert.site_id, alert.camera_id, alert.captured_at) == ("shop", DOOR, NOON)
    score = faces_drift(SiteId("shop"), NOON, Finding(DOOR, "score", 0.3, is_news=True))
    assert len({outage.event_id, drift.event_id, score.event_id}) == 3


def test_messages_say_what_happened_and_ids_that_they_are_alerts() -> None:
    [vip], [watched] = announced(IdentityKind.VIP), announced(IdentityKind.WATCHLIST)
    [outage] = Arrivals(SiteId("shop"), 300.0).gallery_unavailable(DOOR, NOON)
    walked = impossible_transition(SiteId("shop"), DOOR, NOON, TrackId("t"), gate())
    for alert, words in (
        (vip, "VIP"),
        (watched, "on the watchlist"),
        (outage, "people are reported as unknown"),
        (walked, "too far to walk"),
    ):
        assert words in alert.message
        assert alert.event_id.startswith("alr_")
    later = Arrivals(SiteId("shop"), 300.0).gallery_unavailable(DOOR, NOON + timedelta(seconds=1))
    assert later[0].event_id != outage.event_id
