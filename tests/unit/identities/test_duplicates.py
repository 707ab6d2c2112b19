"""Duplicate identities: all resolvers find the same, and a person's verdict is final."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import CustomerConflict
from trinetra.events.customers import (
    CustomerChange,
    CustomerDirectory,
    NumberedChange,
    erasure_digest,
)
from trinetra.identities.decision.duplicates import (
    DuplicatePair,
    Finding,
    IdentityRef,
    MergePolicy,
    Nomination,
    apart,
    changes_of,
    compare,
    duplicates_of,
    judge_duplicates,
    nominate,
)
from trinetra.identities.decision.lifecycle import (
    RetentionPolicy,
    enroll,
    rename,
    renew,
    with_own_id,
)
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import TrackIdentity
from trinetra.identities.gate.registry import ActiveRegistry, Presence
from trinetra.identities.gate.topology import Sighting, build_graph
from trinetra.identities.tracking.track_faces import Shot
from trinetra.values import (
    CameraId,
    CustomerId,
    GalleryEntry,
    GalleryMatch,
    IdentityKind,
    Instant,
    TrackId,
    after,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = MergePolicy(merge_at=0.84, propose_at=0.76)
DOOR, TILL = CameraId("door"), CameraId("till")
GRAPH = build_graph([DOOR, TILL], [(DOOR, TILL, 100.0)])
ANN, BEN, CLEO = CustomerId("ann"), CustomerId("ben"), CustomerId("cleo")
ANONYMOUS, ENROLLED = IdentityKind.ANONYMOUS, IdentityKind.ENROLLED
KINDS = st.sampled_from([k for k in IdentityKind if k is not IdentityKind.OPTED_OUT])


def fellow(who: CustomerId, kind: IdentityKind = ANONYMOUS, seen_s: float = 0.0) -> IdentityRef:
    return IdentityRef(who, kind, after(NOON, seen_s))


def told(*changes: tuple[str, CustomerId, CustomerId]) -> CustomerDirectory:
    directory = CustomerDirectory()
    for number, (what, who, other) in enumerate(changes, 1):
        said = CustomerChange(
            change_id=str(number), change=what, customer_id=who, other=other, at=NOON
        )
        directory.apply([NumberedChange(number, said)])
    return directory


def enrolled(who: CustomerId, kind: IdentityKind) -> CustomerDirectory:
    said = CustomerChange(change_id="1", change="enrolled", customer_id=who, kind=kind, at=NOON)
    directory = CustomerDirectory()
    directory.apply([NumberedChange(1, said)])
    return directory


def judged(
    pair: DuplicatePair,
    directory: CustomerDirectory | None = None,
    presences: tuple[Presence | None, Presence | None] = (None, None),
) -> Finding | None:
    return judge_duplicates(pair, directory or CustomerDirectory(), presences, GRAPH, POLICY, NOON)


def presence(who: CustomerId, *segments: tuple[CameraId, float, float]) -> Presence:
    registry = ActiveRegistry()
    for camera, start_s, end_s in segments:
        registry.see(who, ANONYMOUS, Sighting(camera, after(NOON, start_s), after(NOON, end_s)))
    found = registry.get(who)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("score", "outcome"), [(0.75, None), (0.76, "proposed"), (0.83, "proposed"), (0.84, "merged")]
)
def test_how_alike_two_faces_are_decides_what_is_done(score: float, outcome: str | None) -> None:
    finding = judged(DuplicatePair(fellow(ANN), fellow(BEN, seen_s=9), score))
    assert (finding.reason if finding else None) == outcome


def test_of_two_anonymous_the_elder_stays() -> None:
    finding = judged(DuplicatePair(fellow(ANN, seen_s=9), fellow(BEN), 0.9))
    assert finding is not None
    assert finding.change is not None
    assert (finding.change.customer_id, finding.change.other) == (ANN, BEN)


@given(KINDS, KINDS, st.floats(0.84, 1.0))
def test_an_enrolled_person_is_never_merged_only_proposed(
    one: IdentityKind, two: IdentityKind, score: float
) -> None:
    finding = judged(DuplicatePair(fellow(ANN, one), fellow(BEN, two), score))
    assert finding is not None
    assert finding.reason == ("merged" if {one, two} == {ANONYMOUS} else "proposed")


def test_it_is_proposed_that_the_anonymous_becomes_the_enrolled_however_old() -> None:
    finding = judged(DuplicatePair(fellow(ANN), fellow(BEN, ENROLLED, seen_s=9), 0.9))
    assert finding is not None
    assert finding.change is not None
    assert finding.change.change == "merge_proposed"
    assert (finding.change.customer_id, finding.change.other) == (ANN, BEN)


def test_without_proposals_identities_are_still_merged() -> None:
    policy = MergePolicy(merge_at=0.84, propose_at=1.01)
    pairs = [DuplicatePair(fellow(ANN), fellow(BEN, kind), 0.9) for kind in (ANONYMOUS, ENROLLED)]
    found = [
        judge_duplicates(pair, CustomerDirectory(), (None, None), GRAPH, policy, NOON)
        for pair in pairs
    ]
    assert [finding.reason if finding else None for finding in found] == ["merged", None]


@pytest.mark.parametrize("of", [ANN, BEN])
def test_a_resolver_that_does_not_know_of_an_enrollment_cannot_merge_the_person(
    of: CustomerId,
) -> None:
    finding = judged(DuplicatePair(fellow(ANN), fellow(BEN, seen_s=9), 0.9))
    assert finding is not None
    assert finding.change is not None
    directory = enrolled(of, IdentityKind.STAFF)
    with pytest.raises(CustomerConflict, match="only a person can merge it"):
        directory.check(finding.change)
    directory.check(msgspec.structs.replace(finding.change, by="operator"))


@given(KINDS, KINDS, st.integers(-5, 5), st.floats(0.76, 1.0))
def test_whoever_looks_finds_the_same_change(
    one: IdentityKind, two: IdentityKind, seen_s: int, score: float
) -> None:
    ann, ben = fellow(ANN, one), fellow(BEN, two, seen_s)
    there, back = judged(DuplicatePair(ann, ben, score)), judged(DuplicatePair(ben, ann, score))
    assert there == back
    assert there is not None


@pytest.mark.parametrize(
    ("ann", "ben", "reason"),
    [
        ([(DOOR, 0, 9)], [(DOOR, 5, 12)], "in_view_together"),
        ([(DOOR, 0, 9)], [(DOOR, 9, 12)], "merged"),
        ([(DOOR, 0, 9)], [(TILL, 20, 30)], "two_places"),
        ([(DOOR, 0, 9)], [(TILL, 60, 70)], "merged"),
    ],
)
def test_nobody_is_in_two_places_at_once(
    ann: list[tuple[CameraId, float, float]],
    ben: list[tuple[CameraId, float, float]],
    reason: str,
) -> None:
    both = presence(ANN, *ann), presence(BEN, *ben)
    finding = judged(DuplicatePair(fellow(ANN), fellow(BEN), 0.9), presences=both)
    assert finding is not None
    assert finding.reason == reason
    assert (finding.change is None) == (reason != "merged")


@pytest.mark.parametrize(
    "said",
    [
        [("merge_dismissed", ANN, BEN)],
        [("merged", ANN, BEN), ("split", ANN, BEN)],
        [("merged", ANN, BEN), ("split", ANN, BEN), ("merged", BEN, CLEO)],
    ],
)
def test_who_was_told_apart_stays_apart_under_every_later_id(
    said: list[tuple[str, CustomerId, CustomerId]],
) -> None:
    directory = told(*said)
    other = fellow(directory.canonical(BEN))
    finding = judged(DuplicatePair(fellow(ANN), other, 0.99), directory)
    assert finding == Finding(None, "told_apart")


def test_a_proposal_is_made_once() -> None:
    directory = told(("merge_proposed", BEN, ANN))
    assert judged(DuplicatePair(fellow(ANN), fellow(BEN), 0.8), directory) == Finding(
        None, "proposed_already"
    )
    finding = judged(DuplicatePair(fellow(ANN), fellow(BEN), 0.9), directory)
    assert finding is not None
    assert finding.reason == "merged"


# --- which matches count --------------------------------------------------------------------


def shots(seed: int, at: Instant = NOON) -> list[Shot]:
    face = np.random.default_rng(seed).normal(size=8).astype(np.float32)
    face /= np.linalg.norm(face)
    return [Shot(face, 0.9, 60.0, at + timedelta(seconds=n)) for n in range(3)]


def entries(who: CustomerId, kind: IdentityKind = ANONYMOUS) -> list[GalleryEntry]:
    return enroll(who, kind, shots(1), RetentionPolicy())


def match(entry: GalleryEntry, cosine: float = 0.9, since_s: float = 0.0) -> GalleryMatch:
    seen = after(NOON, since_s)
    return GalleryMatch(entry.entry_id, entry.customer_id, entry.kind, cosine, seen)


def found(
    matches: list[GalleryMatch], directory: CustomerDirectory | None = None
) -> list[DuplicatePair]:
    return duplicates_of(
        entries(ANN)[0], matches, directory or CustomerDirectory(), lambda cosine: cosine
    )


def test_only_fused_faces_of_others_count() -> None:
    fused, *single = entries(BEN)
    latest = renew(BEN, ANONYMOUS, shots(1), RetentionPolicy())
    assert found([match(shot) for shot in single]) == []
    assert [t.score for t in found([match(fused, 0.8), match(latest, 0.9)])] == [0.9]


def test_photos_of_enrolled_people_count_whatever_they_are_called() -> None:
    photo = GalleryMatch("photo-1", BEN, ENROLLED, 0.9, NOON)
    assert found([photo]) == []
    [pair] = found([photo], enrolled(BEN, IdentityKind.VIP))
    assert pair.two == IdentityRef(BEN, IdentityKind.VIP, NOON)


def test_ids_of_one_person_are_one_fellow_as_old_as_the_eldest() -> None:
    directory = told(("merged", CLEO, BEN))
    [pair] = found([match(entries(CLEO)[0], 0.9, -60), match(entries(BEN)[0], 0.8)], directory)
    assert pair == DuplicatePair(fellow(ANN), fellow(BEN, seen_s=-60), 0.9)
    assert found([match(entries(CLEO)[0])], told(("merged", CLEO, BEN), ("merged", ANN, BEN))) == []


def test_who_opted_out_is_left_out_and_nobody_becomes_them() -> None:
    assert found([match(entries(BEN)[0])], enrolled(BEN, IdentityKind.OPTED_OUT)) == []


# --- open tracks after merges and splits ----------------------------------------------------


def track(decision: Decision) -> TrackIdentity:
    return TrackIdentity(TrackId("t1"), "person", NOON, decision=decision)


def test_an_open_track_follows_a_merge_and_its_undoing() -> None:
    identity = track(Decision("new", ("no_match",), ANN, ANONYMOUS))
    assert not rename(identity, CustomerDirectory())
    assert rename(identity, told(("merged", ANN, BEN)))
    assert identity.decision == Decision("known", ("merged",), BEN, ANONYMOUS, ANN)
    assert not rename(identity, told(("merged", ANN, BEN)))
    assert rename(identity, CustomerDirectory())
    assert identity.decision == Decision("known", ("split",), ANN, ANONYMOUS)


def test_a_track_that_resembled_the_others_face_goes_back_to_the_other() -> None:
    directory = told(("merged", ANN, BEN))
    decision = Decision("known", ("similar", "gate_unknown"), BEN, ANONYMOUS)
    like_ann = with_own_id(decision, [match(entries(ANN)[0]), match(entries(BEN)[0])], directory)
    like_ben = with_own_id(decision, [match(entries(BEN)[0]), match(entries(ANN)[0])], directory)
    assert (like_ann.own_id, like_ben.own_id) == (ANN, None)
    identity = track(like_ann)
    assert not rename(identity, directory)
    assert rename(identity, CustomerDirectory())
    assert identity.customer_id == ANN
    assert not rename(track(like_ben), CustomerDirectory())


def test_the_registry_knows_a_merged_person_wherever_either_was_seen() -> None:
    registry = ActiveRegistry()
    registry.see(ANN, ANONYMOUS, Sighting(DOOR, NOON, after(NOON, 5)))
    registry.see(BEN, ANONYMOUS, Sighting(TILL, after(NOON, 90), after(NOON, 95)))
    registry.join(ANN, BEN)
    assert registry.get(ANN) is None
    assert {s.camera_id for s in registry.elsewhere(BEN, CameraId("aisle"))} == {DOOR, TILL}


# --- pairs that a third face nominates ------------------------------------------------------


def third_face(*rows: tuple[CustomerId, float], since_s: float = 0.0) -> list[GalleryMatch]:
    return [match(entries(who)[0], cosine, since_s) for who, cosine in rows]


def test_a_face_nominates_the_two_that_it_resembles_most() -> None:
    rows = third_face((CLEO, 0.7), (ANN, 0.9), (BEN, 0.8))
    nomination = nominate(rows, CustomerDirectory())
    assert nomination is not None
    assert (nomination.one, nomination.two) == (fellow(ANN), fellow(BEN))
    assert nominate(third_face((ANN, 0.9)), CustomerDirectory()) is None
    assert nominate([], CustomerDirectory()) is None


def test_two_ids_of_one_person_are_no_pair() -> None:
    assert nominate(third_face((ANN, 0.9), (BEN, 0.8)), told(("merged", ANN, BEN))) is None


def erased(who: CustomerId) -> CustomerDirectory:
    return told(("erased", erasure_digest(who), who))


def test_erased_and_opted_out_people_are_never_nominated() -> None:
    rows = third_face((ANN, 0.9), (BEN, 0.8))
    assert nominate(rows, enrolled(ANN, IdentityKind.OPTED_OUT)) is None
    assert nominate(rows, erased(BEN)) is None


def test_a_nominated_pair_is_compared_by_the_faces_of_all_its_ids() -> None:
    nomination = nominate(third_face((ANN, 0.9), (BEN, 0.8)), told(("merged", CLEO, BEN)))
    assert nomination is not None
    faces = [{entry.entry_id for entry in both(who)} for who in (ANN, BEN, CLEO)]
    assert nomination.faces == (faces[0], faces[1] | faces[2])


def both(who: CustomerId) -> list[GalleryEntry]:
    """Return an identity's fused faces, as first and as last seen."""
    return [entries(who)[0], renew(who, ANONYMOUS, shots(1), RetentionPolicy())]


def test_the_photos_of_an_enrolled_person_are_compared_too() -> None:
    photo = GalleryMatch("photo-1", BEN, ENROLLED, 0.8, NOON)
    stray = GalleryMatch("shot-1", ANN, ANONYMOUS, 0.9, NOON)
    rows = [stray, *third_face((ANN, 0.9)), photo]
    nomination = nominate(rows, enrolled(BEN, ENROLLED))
    assert nomination is not None
    assert nomination.two.kind is ENROLLED
    assert "photo-1" in nomination.faces[1]
    assert "shot-1" not in nomination.faces[0]


def test_a_nominated_pair_scores_as_its_two_most_similar_faces() -> None:
    nomination = Nomination(
        fellow(ANN), fellow(BEN), (frozenset({"a1", "a2"}), frozenset({"b1", "lost"}))
    )
    kept = [facing("a1", ANN, 0.0), facing("a2", ANN, 60.0), facing("b1", BEN, 90.0)]
    pair = compare(nomination, kept, lambda cosine: round(cosine, 6) / 2)
    assert pair == DuplicatePair(fellow(ANN), fellow(BEN), round(np.cos(np.pi / 6), 6) / 2)
    assert compare(nomination, kept[:2], float) is None
    assert compare(nomination, kept[2:], float) is None


def facing(name: str, who: CustomerId, degrees: float) -> GalleryEntry:
    angle = np.radians(degrees)
    face = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return replace(entries(who)[0], entry_id=name, embedding=face)


# --- what is looked up, and what is written ---------------------------------------------------


def test_an_erased_or_opted_out_entry_has_no_duplicates() -> None:
    rows = [match(entries(BEN)[0])]
    assert len(found(rows)) == 1
    assert found(rows, erased(ANN)) == []
    assert found(rows, enrolled(ANN, IdentityKind.OPTED_OUT)) == []
    assert found(rows, erased(BEN)) == []


def test_duplicates_come_best_first_and_ties_by_id() -> None:
    rows = third_face((CLEO, 0.9), (BEN, 0.9))
    assert [pair.two.customer_id for pair in found(rows)] == [BEN, CLEO]
    rows = third_face((BEN, 0.8), (CLEO, 0.9))
    assert [(pair.two.customer_id, pair.score) for pair in found(rows)] == [(CLEO, 0.9), (BEN, 0.8)]


def test_an_identity_is_as_old_as_its_eldest_match_whichever_was_looked_up() -> None:
    rows = [*third_face((ANN, 0.99), since_s=-60), *third_face((BEN, 0.9), since_s=-30)]
    [pair] = found(rows)
    assert (pair.one, pair.two) == (fellow(ANN, seen_s=-60), fellow(BEN, seen_s=-30))


def test_a_merge_says_who_decided_when_why_and_how_similar() -> None:
    finding = judged(DuplicatePair(fellow(ANN, seen_s=9), fellow(BEN), 0.912345))
    assert finding is not None
    assert finding.change is not None
    assert (finding.change.change, finding.change.by) == ("merged", "resolver")
    assert (finding.change.at, finding.change.reason) == (NOON, "same_face")
    assert finding.change.score == pytest.approx(0.9123)


def test_the_same_change_is_written_once_and_different_ones_all() -> None:
    one = judged(DuplicatePair(fellow(ANN), fellow(BEN), 0.9))
    again = judged(DuplicatePair(fellow(BEN), fellow(ANN), 0.9))
    other = judged(DuplicatePair(fellow(ANN), fellow(CLEO), 0.9))
    proposed = judged(DuplicatePair(fellow(ANN), fellow(BEN), 0.8))
    assert one is not None
    assert again is not None
    assert other is not None
    assert proposed is not None
    nothing = Finding(None, "told_apart")
    changes = changes_of([one, nothing, again, other, proposed])
    assert changes == [one.change, other.change, proposed.change]


def test_people_seen_apart_in_time_and_place_are_not_told_apart_by_views_they_share() -> None:
    ann = presence(ANN, (DOOR, 0, 9), (TILL, 60, 70))
    ben = presence(BEN, (DOOR, 200, 209))
    assert apart(ann, ben, GRAPH) is None
    assert apart(ann, None, GRAPH) is None
    assert apart(presence(ANN, (TILL, 195, 199)), ben, GRAPH) == "two_places"
    assert apart(presence(ANN, (DOOR, 150, 160), (TILL, 195, 199)), ben, GRAPH) == "two_places"
