"""Staff candidates: customers who behave like staff are proposed with the reasons, others not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from trinetra.events.schema import Visit, ZoneStay
from trinetra.insights.footfall.staff import StaffRules, staff_candidates, without_candidates
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

BERLIN = ZoneInfo("Europe/Berlin")
OPEN = OpeningHours(tuple(OpenSpan(day, 9 * 60, 20 * 60) for day in range(7)), "Europe/Berlin")
TILL = CameraId("till")
RULES = StaffRules(BERLIN, OPEN, frozenset({(TILL, "counter")}))
MONDAY = datetime(2026, 11, 30, tzinfo=BERLIN)


def visit(
    who: str,
    start_h: float,
    hours: float,
    day: int = 0,
    kind: IdentityKind = IdentityKind.ANONYMOUS,
) -> Visit:
    start = (MONDAY + timedelta(days=day, hours=start_h)).astimezone(UTC)
    return Visit(
        event_id=EventId(f"{who}-{day}-{start_h}"),
        site_id=SiteId("shop"),
        camera_id=TILL,
        captured_at=start + timedelta(hours=hours),
        customer_id=CustomerId(who),
        kind=kind,
        started_at=start,
        cameras=(TILL,),
        visit_number=1,
    )


def stay(who: str, minutes: float, zone: str = "counter") -> ZoneStay:
    start = (MONDAY + timedelta(hours=10)).astimezone(UTC)
    return ZoneStay(
        event_id=EventId(f"{who}-{zone}"),
        site_id=SiteId("shop"),
        camera_id=TILL,
        captured_at=start + timedelta(minutes=minutes),
        zone_id=zone,
        track_id=TrackId("t"),
        label="person",
        entered_at=start,
        dwell_s=60 * minutes,
        customer_id=CustomerId(who),
    )


def proposed(visits: list[Visit], stays: list[ZoneStay] | None = None) -> dict[str, str]:
    found = staff_candidates(visits, stays or [], RULES)
    return {candidate.customer_id: "; ".join(candidate.reasons) for candidate in found}


def test_one_who_is_there_before_opening_is_proposed() -> None:
    assert proposed([visit("eve", 8.5, 1)]) == {
        "eve": "present while the shop is closed on 1 day(s), up to 30 min"
    }


def test_one_who_comes_as_the_shop_opens_or_stays_until_it_closes_is_not() -> None:
    assert proposed([visit("ann", 8.95, 0.5), visit("ben", 19.5, 0.6)]) == {}


def test_one_who_stands_behind_the_till_is_proposed_but_not_one_before_it() -> None:
    visits = [visit("eve", 9.5, 1), visit("ann", 9.5, 1)]
    found = proposed(visits, [stay("eve", 30), stay("ann", 30, "queue")])
    assert found == {"eve": "behind a till on 1 day(s), up to 30 min"}


def test_one_who_is_there_for_hours_is_proposed() -> None:
    visits = [visit("eve", 9.5, 6), visit("ann", 9.5, 3)]
    visits += [visit("ben", 10, 2.5, day=day) for day in range(3)]
    assert proposed(visits) == {
        "eve": "present for hours on 1 day(s), up to 6.0 h",
        "ben": "present for more than 2 h on 3 days",
    }


def test_known_staff_are_not_proposed_again() -> None:
    assert proposed([visit("eve", 8, 10, kind=IdentityKind.STAFF)]) == {}


def test_without_opening_hours_presence_at_night_is_no_reason() -> None:
    assert staff_candidates([visit("eve", 3, 1)], [], StaffRules(BERLIN)) == []


def test_the_effect_on_the_figures_is_told() -> None:
    visits = [visit("eve", 8, 10), visit("ann", 10, 1), visit("bob", 9, 1, kind=IdentityKind.STAFF)]
    rest = without_candidates(visits, staff_candidates(visits, [], RULES))
    assert [v.customer_id for v in rest] == ["ann"]
