"""Alerts: raised once per cooldown, despite clock changes and repeated outages."""

from datetime import UTC, datetime, timedelta

from trinetra.identities.decision.alerts import Arrivals
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
