"""The merge job compares two identities' own faces, whatever other faces resemble both."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.flows.shop import NOON, SITE

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.memory.customer_log import MemoryCustomerLog
from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.events.customers import CustomerChange
from trinetra.identities.context import ResolverContext
from trinetra.identities.decision.duplicates import AmbiguousFace, MergePolicy
from trinetra.identities.decision.lifecycle import RetentionPolicy, enroll
from trinetra.identities.decision.matching import decide, rank
from trinetra.identities.gate.registry import ActiveRegistry
from trinetra.identities.gate.topology import SiteGraph
from trinetra.identities.merge_job import MergeJob
from trinetra.identities.tracking.track_faces import Shot
from trinetra.values import CustomerId, Embedding, GalleryEntry, IdentityKind

DIMENSION = 64
POLICY = MergePolicy()
ANN, BEN = CustomerId("cus_ann"), CustomerId("cus_ben")
ANONYMOUS = IdentityKind.ANONYMOUS


def unit(vector: np.ndarray) -> Embedding:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def at_cosine(face: Embedding, cosine: float, seed: int) -> Embedding:
    """Return a face with this cosine to another one."""
    other = np.random.default_rng(seed).normal(size=DIMENSION)
    other = unit(other - (other @ face) * face)
    return unit(cosine * face + np.sqrt(1 - cosine * cosine) * other)


def random_face(seed: int) -> Embedding:
    return unit(np.random.default_rng(seed).normal(size=DIMENSION))


def entries(who: CustomerId, face: Embedding, kind: IdentityKind = ANONYMOUS) -> list[GalleryEntry]:
    return enroll(who, kind, [Shot(face, 0.9, 90.0, NOON)] * 3, RetentionPolicy())


@dataclass
class Job:
    """A merge job on a real gallery and customer log."""

    policy: MergePolicy = POLICY

    def __post_init__(self) -> None:
        self.gallery, self.customer_log = MemoryGallery(DIMENSION), MemoryCustomerLog()
        self.context = ResolverContext(
            site_id=SITE,
            gallery=self.gallery,
            registry=ActiveRegistry(),
            graph=SiteGraph(),
            clock=SystemClock(),
            model="test@1",
            dimension=DIMENSION,
        )
        self.job = MergeJob(self.context, self.customer_log, self.policy)

    async def ambiguous(self, *faces: Embedding) -> list[CustomerChange]:
        """Return the changes after tracks with these faces resembled two identities."""
        for face in faces:
            self.context.merge_queue.offer_ambiguous(AmbiguousFace(face, NOON))
        await self.job.close()
        return [change for _, change in await self.customer_log.changes(0, 1000)]

    async def stored(self, *faces: GalleryEntry) -> list[CustomerChange]:
        """Return the changes after these entries were stored in the gallery."""
        await self.gallery.upsert(faces)
        self.context.merge_queue.offer_stored(faces)
        return await self.ambiguous()


@pytest.mark.parametrize(("cosine", "kind"), [(0.36, ANONYMOUS), (0.5, IdentityKind.ENROLLED)])
async def test_a_face_halfway_between_two_strangers_does_not_merge_them(
    cosine: float, kind: IdentityKind
) -> None:
    job = Job()
    ann = random_face(1)
    ben = at_cosine(ann, cosine, 2)
    await job.gallery.upsert([*entries(ANN, ann, kind), *entries(BEN, ben)])
    halfway = unit(ann + ben)
    [matches] = await job.gallery.search([halfway], 24)
    policy = job.context.policy.matching
    ranked = rank(matches, policy)
    assert all(row.score > POLICY.merge_at - 0.01 for row in ranked)
    assert decide(ranked, None, good_faces=4, in_view=frozenset(), policy=policy).reasons == (
        "ambiguous",
    )
    assert await job.ambiguous(halfway) == []


async def test_an_ambiguous_face_nominates_two_identities_that_are_then_merged() -> None:
    job = Job()
    ann = random_face(1)
    ben = at_cosine(ann, 0.9, 2)
    await job.gallery.upsert([*entries(ANN, ann), *entries(BEN, ben)])
    [change] = await job.ambiguous(unit(ann + ben))
    assert {change.customer_id, change.other} == {ANN, BEN}
    assert change.change == "merged"
    score = job.context.policy.matching.score(float(ann @ ben))
    assert change.score == pytest.approx(score, abs=1e-3)


async def test_an_identity_whose_own_faces_were_deleted_is_not_judged_by_others() -> None:
    job = Job()
    ann = random_face(1)
    job.context.merge_queue.offer_ambiguous(AmbiguousFace(ann, NOON))
    await job.gallery.upsert([*entries(ANN, ann), *entries(BEN, at_cosine(ann, 0.95, 2))])

    class Forgetful(MemoryGallery):
        async def get(self, entry_ids: list[str]) -> list[GalleryEntry]:
            await self.delete(BEN)
            return await super().get(entry_ids)

    job.gallery.__class__ = Forgetful
    assert await job.ambiguous() == []


identities = st.lists(
    st.tuples(st.floats(-0.2, 1.0), st.sampled_from([ANONYMOUS, *IdentityKind])),
    min_size=1,
    max_size=4,
)


@given(
    others=identities,
    probes=st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), max_size=6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
async def test_whatever_third_faces_exist_only_anonymous_pairs_whose_own_faces_agree_are_merged(
    others: list[tuple[float, IdentityKind]], probes: list[list[float]], seed: int
) -> None:
    job = Job()
    first = random_face(seed)
    faces = {CustomerId("cus_0"): first}
    kinds = {CustomerId("cus_0"): ANONYMOUS}
    for number, (cosine, kind) in enumerate(others, 1):
        who = CustomerId(f"cus_{number}")
        faces[who], kinds[who] = at_cosine(first, cosine, seed + number), kind
    for who, face in faces.items():
        await job.gallery.upsert(entries(who, face, kinds[who]))
    third = [
        unit(sum(w * f for w, f in zip(weights, faces.values(), strict=False)) + 1e-3 * first)
        for weights in probes
    ]
    stored = [entry for who, face in faces.items() for entry in entries(who, face, kinds[who])]
    await job.ambiguous(*third)
    for change in await job.stored(*stored):
        if change.change != "merged":
            continue
        directory = job.context.directory
        assert change.other is not None
        one, two = (directory.members(c) for c in (change.customer_id, change.other))
        own = max(float(faces[a] @ faces[b]) for a in one for b in two)
        assert job.context.policy.matching.score(own) >= POLICY.merge_at - 1e-6
        assert {kinds[change.customer_id], kinds[change.other]} == {ANONYMOUS}
