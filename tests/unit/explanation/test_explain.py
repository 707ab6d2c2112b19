"""Explanations follow from an event's numbers and from the other events of its track."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trinetra.events.codec import encode
from trinetra.events.schema import (
    AlertEvent,
    AnyEvent,
    BodyEvidence,
    Candidate,
    Evidence,
    GateEvidence,
    IdentityEvent,
    LifecycleEvent,
    LineCrossing,
    ThresholdBasis,
    Thresholds,
    TracksEvent,
    Visit,
)
from trinetra.explanation import Explanation, Gathering, explain_events, subjects_of
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANNA, BERT = CustomerId("cus_anna"), CustomerId("cus_bert")
LIMITS = Thresholds(similarity=0.72, margin=0.03, quality=0.3, min_face_px=32.0)
HERE: dict[str, Any] = {"site_id": SiteId("shop"), "camera_id": CameraId("door")}


def evidence(*scores: float, used: int = 5, gate: GateEvidence | None = None) -> Evidence:
    candidates = tuple(
        Candidate(customer, score) for customer, score in zip((ANNA, BERT), scores, strict=False)
    )
    return Evidence(
        faces_seen=7,
        faces_used=used,
        best_face_px=96.0,
        quality=0.71,
        model="reader@1",
        thresholds=LIMITS,
        candidates=candidates,
        margin=round(scores[0] - scores[1], 4) if len(scores) > 1 else None,
        gate=(gate,) if gate else (),
    )


def identity(
    status: str, *reasons: str, why: Evidence, after_s: float = 0.0, **more: Any
) -> IdentityEvent:
    more = {"track_id": TrackId("trk_1"), "event_id": EventId(f"idn_{after_s:g}"), **more}
    return IdentityEvent(
        captured_at=NOON + timedelta(seconds=after_s),
        status=status,  # type: ignore[arg-type]  # the tests use the literals
        reasons=reasons,
        evidence=why,
        track_started_at=NOON,
        **HERE,
        **more,
    )


def account(subject: str, *events: AnyEvent) -> Explanation:
    found = explain_events(subject, events)
    assert found is not None
    return found


def test_a_derived_threshold_is_told_with_the_number_of_people_that_it_allows_for() -> None:
    basis = ThresholdBasis(target=0.001, people=2000, among="gallery", face_px=48.0)
    why = msgspec.structs.replace(evidence(0.781, 0.602), basis=basis)
    told = account("idn_0", identity("unknown", "resembles_somebody", why=why))
    text = " ".join([*told.because, *told.otherwise])
    assert "at most 0.1 % of unknown visitors" in text
    assert "allows for 2,000 people in the gallery" in text
    here = msgspec.structs.replace(why, basis=msgspec.structs.replace(basis, among="on_site"))
    assert "2,000 people on site" in " ".join(account("idn_0", identity("new", why=here)).because)
    low = msgspec.structs.replace(evidence(0.701), basis=basis)
    told = account("idn_0", identity("unknown", "resembles_somebody", why=low))
    assert "false_positive_identification_rate" in " ".join(told.otherwise)


def test_a_match_is_told_with_its_lead_over_threshold_and_runner_up() -> None:
    event = identity(
        "known", "similar", "gate_unknown", why=evidence(0.781, 0.702), customer_id=ANNA
    )
    told = account("idn_0", event)
    assert told.headline == "trk_1 was recognized as cus_anna."
    text = " ".join(told.because)
    assert "7 faces were seen, 5 of them used; the largest was 96 px wide" in text
    assert "cus_anna scored 0.781, 0.061 above the 0.720 that a match needs." in text
    assert "cus_bert, scored 0.702: a lead of 0.079 where 0.030 is needed." in text
    assert "model reader@1" in text
    assert any("threshold above 0.781" in sentence for sentence in told.otherwise)


def test_a_link_is_told_with_the_likeness_and_that_it_is_no_face() -> None:
    body = BodyEvidence(
        customer_id=ANNA,
        cosine=0.412,
        threshold=0.304,
        least_margin=0.05,
        seen=10,
        compared=9,
        from_camera=CameraId("till"),
        model="reid@1",
        margin=0.087,
    )
    why = msgspec.structs.replace(evidence(used=0), body=body)
    event = identity("known", "same_body", "gate_plausible", why=why, customer_id=ANNA, linked=True)
    told = account("idn_0", event)
    assert told.headline == "trk_1 was linked to cus_anna by the body, without a face."
    text = " ".join(told.because)
    assert "A face would override this." in text
    assert "10 pictures of the body resemble cus_anna at till with a cosine of 0.41" in text
    assert "0.30 is needed among 9 (policies.bodies.false_link_rate)" in text
    assert "it leads the next best by 0.09, where 0.05 is needed" in text


def test_a_near_miss_tells_how_far_it_was_short() -> None:
    event = identity("unknown", "resembles_somebody", why=evidence(0.69))
    told = account("idn_0", event)
    assert told.headline == "trk_1 was not identified."
    assert "0.030 short of the threshold 0.720" in told.otherwise[0]


def test_two_alike_tell_how_much_lead_was_missing() -> None:
    event = identity("unknown", "ambiguous", why=evidence(0.80, 0.79))
    assert "0.020 short of the 0.030 needed" in " ".join(account("idn_0", event).otherwise)


def test_an_impossible_way_is_told_with_speed_route_slack_and_the_time_it_takes() -> None:
    gate = GateEvidence(
        customer_id=ANNA,
        verdict="impossible",
        reason="too_fast",
        from_camera=CameraId("till"),
        distance_m=40.0,
        elapsed_s=4.0,
        speed_mps=10.0,
        limit_mps=2.5,
        route=(CameraId("till"), CameraId("aisle"), CameraId("door")),
        slack_m=2.0,
        slack_s=0.5,
        least_speed_mps=8.44,
        most_speed_mps=12.0,
    )
    event = identity("unknown", "gate_impossible", why=evidence(0.80, gate=gate))
    told = account("idn_0", event)
    text = " ".join(told.because)
    assert "cannot have walked here: seen at till 4.0 s earlier, 40 m away via aisle" in text
    assert "10.00 m/s (between 8.44 and 12.00), and people here walk at most 2.5 m/s" in text
    assert "plus or minus 2 m and 0.5 s" in text
    assert "takes 14.7 s; only 4.0 s had passed" in " ".join(told.otherwise)


@pytest.mark.parametrize("reason", ["no_face", "face_too_small", "face_blurred"])
def test_a_track_without_a_usable_face_tells_what_face_it_takes(reason: str) -> None:
    told = account("idn_0", identity("unknown", reason, why=evidence(used=0)))
    assert "at least 32 px" in told.otherwise[0]


def test_whoever_opted_out_is_told_to_be_left_out_and_nothing_more() -> None:
    told = account("idn_0", identity("unknown", "opted_out", why=evidence()))
    assert "opted out" in told.because[0]
    assert told.otherwise == ()


def test_the_story_is_of_the_same_track_alone() -> None:
    first = identity("unknown", "collecting_faces", why=evidence(0.5))
    then = identity("new", "no_match", why=evidence(0.5), after_s=2, customer_id=ANNA)
    other = identity(
        "known",
        "similar",
        why=evidence(0.9),
        after_s=3,
        customer_id=ANNA,
        track_id=TrackId("trk_2"),
    )
    told = account("idn_2", first, then, other)
    assert [moment.event_id for moment in told.story] == ["idn_0"]
    assert [m.event_id for m in account("trk_1", first, then, other).story] == ["idn_0", "idn_2"]


def test_an_alert_tells_the_decision_that_led_to_it() -> None:
    led = identity("unknown", "gate_impossible", why=evidence(0.8))
    alert = AlertEvent(
        event_id=EventId("alr_1"),
        captured_at=NOON,
        rule="impossible_transition",
        severity="warning",
        message="nobody walks that fast",
        track_id=TrackId("trk_1"),
        customer_id=ANNA,
        detail={"distance_m": 40.0},
        **HERE,
    )
    told = account("alr_1", led, alert)
    assert told.because[0] == "Distance m: 40."
    assert any("idn_0" in sentence for sentence in told.because)


def visit() -> Visit:
    return Visit(
        event_id=EventId("visit_1"),
        captured_at=NOON + timedelta(seconds=60),
        customer_id=ANNA,
        kind=IdentityKind.ANONYMOUS,
        started_at=NOON,
        cameras=(CameraId("door"), CameraId("till")),
        visit_number=2,
        **HERE,
    )


def test_a_visit_tells_the_tracks_it_is_made_of() -> None:
    event = identity("known", "similar", why=evidence(0.81), customer_id=ANNA)
    told = account("visit_1", event, visit())
    assert "cus_anna came for visit number 2." in told.headline
    assert "trk_1 at door was known with a score of 0.810 (idn_0)." in told.because


def test_a_customer_is_told_with_its_tracks_and_visits_and_how_it_came_to_be() -> None:
    event = identity("new", "no_match", why=evidence(0.5), customer_id=ANNA)
    told = account(ANNA, event, visit())
    assert "1 track and in 1 visit" in told.headline
    assert "idn_0" in told.because[0]


def test_a_merge_tells_who_did_it_and_that_it_can_be_undone() -> None:
    event = LifecycleEvent(
        event_id=EventId("lif_1"),
        captured_at=NOON,
        change="merged",
        customer_id=ANNA,
        other=BERT,
        score=0.9,
        reason="same_face",
        **HERE,
    )
    told = account("lif_1", event)
    assert told.headline == "cus_anna was merged into cus_bert."
    text = " ".join(told.because)
    assert "automatically" in text
    assert "0.900" in text
    assert "can be undone" in text


def test_a_crossing_tells_who_its_track_was_taken_for_by_then() -> None:
    before = identity("unknown", "collecting_faces", why=evidence(0.5))
    later = identity("new", "no_match", why=evidence(0.5), after_s=9, customer_id=ANNA)
    crossing = LineCrossing(
        event_id=EventId("crossing_1"),
        captured_at=NOON + timedelta(seconds=5),
        line_id="doorstep",
        direction="in",
        track_id=TrackId("trk_1"),
        label="person",
        **HERE,
    )
    told = account("crossing_1", before, crossing, later)
    assert any("idn_0" in sentence for sentence in told.because)
    assert not any("idn_9" in sentence for sentence in told.because)


def test_names_stand_in_for_ids_where_they_are_wanted() -> None:
    event = identity("known", "similar", why=evidence(0.781), customer_id=ANNA)
    told = explain_events("idn_0", [event], lambda customer: customer.removeprefix("cus_").title())
    assert told is not None
    assert told.headline == "trk_1 was recognized as Anna."
    assert "Anna scored" in " ".join(told.because)


def test_of_an_unknown_id_there_is_no_account() -> None:
    assert explain_events("idn_77", [identity("unknown", "no_face", why=evidence())]) is None


def test_an_account_is_plain_values_for_json() -> None:
    event = identity("known", "similar", why=evidence(0.781), customer_id=ANNA)
    document = account("idn_0", event).as_json()
    assert document["headline"] == "trk_1 was recognized as cus_anna."
    assert document["event"]["evidence"]["candidates"] == (
        {"customer_id": "cus_anna", "score": 0.781},
    )


def test_only_what_mentions_an_id_is_gathered_and_of_frames_only_the_one_asked_for() -> None:
    frame = TracksEvent(
        event_id=EventId("trs_1"),
        captured_at=NOON,
        frame_seq=1,
        frame_width=64,
        frame_height=48,
        ended=(TrackId("trk_1"),),
        **HERE,
    )
    mine = identity("new", "no_match", why=evidence(0.5), customer_id=ANNA)
    other = identity(
        "new",
        "no_match",
        why=evidence(),
        after_s=1,
        track_id=TrackId("trk_11"),
    )
    for ids, expected in (({"trk_1"}, ["idn_0"]), ({"trs_1"}, ["trs_1"]), ({"trk"}, [])):
        gathering = Gathering(frozenset(ids))
        for payload in (encode(frame), b"{", encode(mine), encode(other), encode(mine)):
            gathering.add(payload)
        assert [event.event_id for event in gathering.found] == expected
        assert gathering.read == 5
        assert gathering.oldest == NOON


def test_an_event_leads_to_its_track_and_its_customer() -> None:
    event = identity("new", "no_match", why=evidence(), customer_id=ANNA)
    assert subjects_of("idn_0", [event]) == {"idn_0", "trk_1", ANNA}
    assert subjects_of("trk_1", [event]) == {"trk_1"}
