"""Gallery lookups of one batch: every face that a decision may need, in one search."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trinetra.identities.decision.lookup import LookupBatch, merge, question_of
from trinetra.identities.decision.matching import Decision
from trinetra.identities.decision.track_identity import (
    FrameOutcome,
    TrackIdentity,
    TrackObservation,
)
from trinetra.identities.tracking.track_faces import FaceGroup, Shot, TrackFaces
from trinetra.values import CustomerId, GalleryMatch, IdentityKind, TrackId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACE = np.eye(8, dtype=np.float32)[0]
KNOWN = Decision("known", ("similar",), CustomerId("ann"), IdentityKind.ANONYMOUS)


def track(name: str = "t", **more: object) -> TrackIdentity:
    return TrackIdentity(TrackId(name), "person", NOON, **more)


def faces(usable: int, segment: int = 0) -> TrackFaces:
    shot = Shot(FACE, 0.9, 60.0, NOON)
    return TrackFaces(
        usable, groups=(FaceGroup((shot,), FACE, usable, NOON, NOON),), segment=segment
    )


def asked(*frames: tuple[TrackIdentity, TrackFaces]) -> list[int]:
    """Return the numbers of faces at which the frames of one batch lead to a lookup."""
    batch = LookupBatch()
    for identity, evidence in frames:
        batch.note(FrameOutcome((observed(identity, evidence),), (), ()))
    return [usable for _, _, usable in batch.probes()]


def observed(identity: TrackIdentity, evidence: TrackFaces) -> TrackObservation:
    return TrackObservation(identity, evidence, (0, 0, 9, 9), NOON)


def test_an_undecided_track_is_looked_up_densely_at_first_and_then_at_every_fourth_face() -> None:
    unknown = track()
    assert asked(*((unknown, faces(n)) for n in range(1, 13))) == [2, 3, 4, 6, 8, 12]


def test_a_decided_track_is_only_reviewed() -> None:
    decided = track(decision=KNOWN)
    assert asked(*((decided, faces(n)) for n in range(1, 100))) == [8, 16, 32, 64, 96]


def test_the_same_faces_are_looked_up_once_within_a_batch_and_over_batches() -> None:
    unknown = track()
    assert asked((unknown, faces(4)), (unknown, faces(4))) == [4]
    assert asked((track(asked_at=4), faces(4))) == []


def test_a_lookup_that_the_gallery_missed_is_repeated_with_the_next_face_once() -> None:
    missed = track(asked_at=6, gallery_missed=True)
    assert asked((missed, faces(7))) == [7]
    assert asked((missed, faces(7)), (missed, faces(9))) == [7]
    assert asked((track(asked_at=6), faces(7))) == []


def test_a_track_that_switched_to_another_person_is_looked_up_anew() -> None:
    switched = track(asked_at=40, gallery_missed=True, decision=KNOWN)
    assert asked((switched, faces(3, segment=1))) == [3]
    assert asked((switched, faces(1, segment=1))) == []


def test_a_probe_is_the_fused_face_of_the_track_that_asks() -> None:
    batch = LookupBatch()
    seen = observed(track("t1"), faces(2)), observed(track("t2"), faces(3))
    batch.note(FrameOutcome(seen, (), ()))
    assert batch.probes().keys() == {(TrackId("t1"), 0, 2), (TrackId("t2"), 0, 3)}
    assert batch.probes().keys() == set(map(question_of, seen))
    assert all((probe == FACE).all() for probe in batch.probes().values())


# --- matches that the gallery does not have yet -----------------------------------------------


def match(name: str, cosine: float) -> GalleryMatch:
    return GalleryMatch(name, CustomerId(name), IdentityKind.ANONYMOUS, cosine)


def test_a_newer_entry_replaces_the_one_that_the_gallery_found() -> None:
    found, newer = [match("a", 0.9), match("b", 0.5)], [match("a", 0.4)]
    assert merge(found, newer, 5) == [match("b", 0.5), match("a", 0.4)]


@given(
    st.lists(st.floats(-1, 1), max_size=6),
    st.lists(st.floats(-1, 1), max_size=6),
    st.integers(1, 8),
)
def test_the_best_of_both_are_kept_best_first(
    found: list[float], newer: list[float], top_k: int
) -> None:
    old = [match(f"old{n}", cosine) for n, cosine in enumerate(sorted(found, reverse=True))]
    new = [match(f"new{n}", cosine) for n, cosine in enumerate(newer)]
    kept = [m.cosine for m in merge(old, new, top_k)]
    assert kept == sorted([*found, *newer], reverse=True)[:top_k]
