"""What the gallery keeps of an identity: its entries, their expiry, and ids of merged customers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trinetra.events.customers import CustomerChange, CustomerDirectory, NumberedChange
from trinetra.identities.decision.lifecycle import (
    RetentionPolicy,
    customer_of,
    enroll,
    is_summary,
    own_kind,
    rename,
    renew,
    summaries_of,
    with_own_id,
)
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import TrackIdentity
from trinetra.identities.tracking.track_faces import Shot, fuse
from trinetra.values import CustomerId, GalleryMatch, IdentityKind, TrackId, after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BEN = CustomerId("ann"), CustomerId("ben")
ANONYMOUS, VIP = IdentityKind.ANONYMOUS, IdentityKind.VIP
FOREVER = RetentionPolicy({})


def shot(seed: int, quality: float, seconds: float = 0.0) -> Shot:
    face = np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return Shot(face / np.linalg.norm(face), quality, 60.0, after(NOON, seconds))


def directory(*changes: CustomerChange) -> CustomerDirectory:
    folded = CustomerDirectory()
    folded.apply([NumberedChange(number, said) for number, said in enumerate(changes, 1)])
    return folded


def merged(who: CustomerId, into: CustomerId) -> CustomerChange:
    return CustomerChange(change_id="m", change="merged", customer_id=who, other=into, at=NOON)


def enrolled(who: CustomerId, kind: IdentityKind) -> CustomerChange:
    return CustomerChange(change_id="e", change="enrolled", customer_id=who, kind=kind, at=NOON)


def test_an_identity_is_stored_as_its_fused_face_and_its_best_shots() -> None:
    shots = [shot(1, 0.5, 3), shot(2, 0.9, 1), shot(3, 0.1, 2)]
    fused, *singles = enroll(ANN, ANONYMOUS, shots, FOREVER)
    assert np.allclose(fused.embedding, fuse(tuple(shots)))
    assert fused.quality == pytest.approx(0.5)
    assert [entry.quality for entry in singles] == [0.9, 0.5]
    assert np.allclose(singles[0].embedding, shots[1].embedding)
    for entry in (fused, *singles):
        assert (entry.customer_id, entry.kind) == (ANN, ANONYMOUS)
        assert (entry.first_seen, entry.last_seen) == (after(NOON, 1), after(NOON, 3))


def test_more_shots_are_kept_on_demand() -> None:
    shots = [shot(seed, 0.9) for seed in range(5)]
    assert len(enroll(ANN, VIP, shots, FOREVER, variety=5)) == 6
    assert len(enroll(ANN, VIP, shots, FOREVER, variety=0)) == 1
    assert len(enroll(ANN, VIP, shots[:1], FOREVER)) == 2


@pytest.mark.parametrize("kind", IdentityKind)
def test_only_enrolled_people_have_consented(kind: IdentityKind) -> None:
    entries = enroll(ANN, kind, [shot(1, 0.9)], FOREVER)
    assert {entry.consent for entry in entries} == {kind is not ANONYMOUS}


def test_entries_expire_so_many_days_after_the_person_was_last_seen() -> None:
    retention = RetentionPolicy({ANONYMOUS: 2.0, VIP: None})
    assert retention.expires_at(ANONYMOUS, NOON) == NOON + timedelta(days=2)
    assert retention.expires_at(VIP, NOON) is None
    assert retention.expires_at(IdentityKind.STAFF, NOON) is None
    [fused, _] = enroll(ANN, ANONYMOUS, [shot(1, 0.9, 60)], retention)
    assert fused.expires_at == after(NOON, 60) + timedelta(days=2)


def test_by_default_only_anonymous_people_expire() -> None:
    retention = RetentionPolicy()
    expiring = {kind for kind in IdentityKind if retention.expires_at(kind, NOON)}
    assert expiring == {ANONYMOUS}


def test_the_first_and_the_latest_fused_face_are_told_from_single_shots() -> None:
    fused, single, _ = enroll(ANN, ANONYMOUS, [shot(1, 0.9), shot(2, 0.8)], FOREVER)
    latest = renew(ANN, ANONYMOUS, [shot(3, 0.7)], FOREVER)
    assert (fused.entry_id, latest.entry_id) == summaries_of(ANN)
    assert [is_summary(entry) for entry in (fused, latest, single)] == [True, True, False]
    assert not is_summary(replace(fused, customer_id=BEN))


def test_a_track_creates_one_identity_per_person_it_shows() -> None:
    track, other = TrackId("t"), TrackId("u")
    ids = {customer_of(track), customer_of(track, 1), customer_of(track, 2), customer_of(other)}
    assert len(ids) == 4
    assert customer_of(track) == customer_of(track, 0)


def test_the_kind_of_an_id_is_its_own_and_not_that_of_the_survivor() -> None:
    known = directory(enrolled(BEN, VIP), merged(ANN, BEN))
    assert own_kind(ANN, known) is ANONYMOUS
    assert own_kind(BEN, known) is VIP


def test_a_track_without_an_identity_is_not_renamed() -> None:
    known = directory(merged(ANN, BEN))
    for decision in (None, Decision("unknown", ("ambiguous",))):
        identity = TrackIdentity(TrackId("t"), "person", NOON, decision=decision)
        assert not rename(identity, known)
        assert identity.decision == decision


def test_a_renamed_track_has_the_kind_of_the_survivor() -> None:
    decision = Decision("new", ("no_match",), ANN, ANONYMOUS)
    identity = TrackIdentity(TrackId("t"), "person", NOON, decision=decision)
    assert rename(identity, directory(enrolled(BEN, VIP), merged(ANN, BEN)))
    assert identity.decision == Decision("known", ("merged",), BEN, VIP, ANN)


def test_only_a_known_track_remembers_the_id_of_its_most_similar_face() -> None:
    known = directory(merged(ANN, BEN))
    found = [GalleryMatch("x", CustomerId("cleo"), ANONYMOUS, 0.95)]
    found += [GalleryMatch("a", ANN, ANONYMOUS, 0.9), GalleryMatch("b", BEN, ANONYMOUS, 0.8)]
    decision = Decision("known", ("similar",), BEN, ANONYMOUS)
    assert with_own_id(decision, found, known).own_id == ANN
    assert with_own_id(decision, [], known) == decision
    new = replace(decision, status="new")
    assert with_own_id(new, found, known) == new
    nobody = Decision("unknown", ("no_face",))
    assert with_own_id(nobody, found, known) == nobody
