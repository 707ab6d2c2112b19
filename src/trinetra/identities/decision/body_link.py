"""Links a track that shows no usable face to a customer of the same visit, by their bodies.

Bodies of customers who were identified by face are kept for the rest of their visit, and a track
without a face is compared with them. A body names no customer by itself: a link never creates a
customer, never reaches the gallery, and gives way to any face.

Two people in similar clothes resemble each other, so a threshold is not enough for a shop full of
people: it rises with the number of customers compared. The cosine of two people has a mean and a
standard deviation, measured on labeled footage (docs/identity.md); if it were normal, the threshold
would be exceeded by any of ``n`` strangers in a share ``false_link_rate`` of all tracks.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.events.schema import BodyEvidence
from trinetra.identities.decision.matching import Decision
from trinetra.identities.tracking.appearance import Body
from trinetra.values import CameraId, CustomerId, Instant, seconds_between

_LEAST_APART_S = 0.2
"""Pictures of a body taken sooner after each other are nearly the same picture."""
_MOST_WEIGHT = 64
_SAME_VIEW, _OTHER_VIEW = NormalDist(0.15, 0.105), NormalDist(0.11, 0.07)
"""Mean cosine of the pictures of two people, in one view and in two: see docs/identity.md."""
_NORMAL = NormalDist()

BODY_DIFFERS = Decision("unknown", ("body_differs",))
"""Later pictures of the track resemble the linked customer too little."""


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """When a track without a face is linked; a ``false_link_rate`` of 0 links none.

    A body needs ``least_seen`` pictures, on the track and of the customer, and the customer must
    lead all others who can be here by ``margin``. A link ends when the cosine falls ``margin``
    below the threshold.
    ``max_absence_s`` is the longest absence within a visit. A track is compared after each number
    of pictures in ``looks``, and never again: a person who stands for an hour, as at a till, would
    resemble one of all who come and go. The rate is divided among these looks.
    """

    false_link_rate: float = 0.01
    least_seen: int = 5
    looks: tuple[int, ...] = (5, 10, 20)
    margin: float = 0.05
    max_absence_s: float = 1800.0

    def threshold(self, compared: int, *, same_view: bool) -> float:
        """Return the least cosine of a link, if so many customers were compared."""
        strangers = _SAME_VIEW if same_view else _OTHER_VIEW
        # None of n comparisons exceeds the limit with probability (1 - p)^n = 1 - false_link_rate.
        comparisons = max(compared, 1) * len(self.looks)
        each = -math.expm1(math.log1p(-self.false_link_rate) / comparisons)
        return strangers.mean - strangers.stdev * _NORMAL.inv_cdf(each)


class BodyMean(msgspec.Struct, frozen=True, array_like=True):
    """The mean of a body's pictures, embedded by ``model``; ``last_at`` is when it last grew.

    Stored by position in snapshots: add fields at the end.
    """

    model: str
    vector: Body
    seen: int
    last_at: Instant


class KnownBody(msgspec.Struct, frozen=True, array_like=True):
    """The body of a customer, identified by face, as one camera saw it."""

    customer_id: CustomerId
    camera_id: CameraId
    body: BodyMean


def with_picture(known: BodyMean | None, seen: Body, model: str, at: Instant) -> BodyMean:
    """Return the mean with one more picture, unless that is too soon after the last one.

    It starts over with the pictures of another network, which cannot be compared. After some
    dozens of pictures it follows slow changes, as of the light.
    """
    if known is None or known.model != model or len(known.vector) != len(seen):
        return BodyMean(model, seen, 1, at)
    if seconds_between(known.last_at, at) < _LEAST_APART_S:
        return known
    mean, share = _floats(known.vector), np.float32(1 / min(known.seen + 1, _MOST_WEIGHT))
    mean = mean + share * (_floats(seen) - mean)
    return BodyMean(model, mean.astype("<f2").tobytes(), known.seen + 1, at)


@dataclass(slots=True)
class BodyBook:
    """The bodies of customers whose visit goes on, by customer and camera, the oldest first."""

    max_bodies: int = 5_000
    known: dict[tuple[CustomerId, CameraId], KnownBody] = field(default_factory=dict)

    def note(self, customer_id: CustomerId, camera_id: CameraId, body: BodyMean) -> None:
        """Keep a body; it replaces that of the same customer at the same camera."""
        key = customer_id, camera_id
        if (before := self.known.get(key)) and before.body is body:
            return
        self.known.pop(key, None)
        self.known[key] = KnownBody(customer_id, camera_id, body)
        while len(self.known) > self.max_bodies:
            del self.known[next(iter(self.known))]

    def discard(self, customer_id: CustomerId, camera_id: CameraId) -> None:
        """Drop a body that turned out to be another person's."""
        self.known.pop((customer_id, camera_id), None)

    def evict(self, now: Instant, max_absence_s: float) -> None:
        """Drop the bodies that are too old, or dated in the future by a clock that was wrong."""
        self.known = {
            key: known
            for key, known in self.known.items()
            if abs(seconds_between(known.body.last_at, now)) <= max_absence_s
        }

    def forget(self, is_removed: Callable[[CustomerId], bool]) -> int:
        """Drop the bodies of some customers; return their number."""
        before = len(self.known)
        self.known = {key: k for key, k in self.known.items() if not is_removed(k.customer_id)}
        return before - len(self.known)


@dataclass(frozen=True, slots=True)
class Resemblance:
    """How much a body resembles a customer's; ``lead`` is by how much it exceeds the threshold."""

    customer_id: CustomerId
    known: KnownBody
    cosine: float
    lead: float
    compared: int

    def evidence(
        self, body: BodyMean, policy: LinkPolicy, rival: "Resemblance | None" = None
    ) -> BodyEvidence:
        """Return the evidence for an identity event; ``rival`` is the next best customer."""
        return BodyEvidence(
            customer_id=self.customer_id,
            cosine=round(self.cosine, 4),
            threshold=round(self.cosine - self.lead, 4),
            least_margin=policy.margin,
            seen=body.seen,
            compared=self.compared,
            from_camera=self.known.camera_id,
            model=body.model,
            margin=round(self.lead - rival.lead, 4) if rival else None,
        )


def choose(
    ranked: Iterable[Resemblance], can_be_here: Callable[[CustomerId], bool], policy: LinkPolicy
) -> tuple[Resemblance, Resemblance | None] | None:
    """Return the customer to link and the next best, if one came near; None for no link.

    Customers who cannot be on the track are no rivals: a uniform does not keep the one colleague
    who can be here from being linked.
    """
    near = (one for one in ranked if one.lead > -policy.margin)
    possible = list(islice((one for one in near if can_be_here(one.customer_id)), 2))
    best, rival = [*possible, None, None][:2]
    if best is None or best.lead < 0:
        return None
    if rival is not None and best.lead - rival.lead < policy.margin:
        return None
    return best, rival


def rank_bodies(
    body: BodyMean,
    camera_id: CameraId,
    known: Iterable[tuple[CustomerId, KnownBody]],
    policy: LinkPolicy,
) -> list[Resemblance]:
    """Return the customers, the most similar one first.

    ``known`` are bodies with the customers' canonical ids; of several of one customer, the most
    similar counts. Cosines of one view and of two are on different scales, so customers are ordered
    by how far their cosine exceeds its threshold.
    """
    comparable = [
        (customer_id, one)
        for customer_id, one in known
        if one.body.model == body.model
        and len(one.body.vector) == len(body.vector)
        and one.body.seen >= policy.least_seen
    ]
    if not comparable:
        return []
    compared = len({customer_id for customer_id, _ in comparable})
    limits = [policy.threshold(compared, same_view=same_view) for same_view in (False, True)]
    cosines = _cosines(body, [one.body for _, one in comparable])
    best: dict[CustomerId, Resemblance] = {}
    for (customer_id, one), cosine in zip(comparable, cosines, strict=True):
        lead = cosine - limits[one.camera_id == camera_id]
        if customer_id not in best or lead > best[customer_id].lead:
            best[customer_id] = Resemblance(customer_id, one, cosine, lead, compared)
    return sorted(best.values(), key=lambda one: (-one.lead, one.customer_id))


def _cosines(body: BodyMean, others: Sequence[BodyMean]) -> list[float]:
    """Return the mean cosine of a body's pictures and those of each other body.

    It is the product of their means, which are shorter than 1 the more their pictures differ.
    Unlike the cosine of the means it does not grow with the number of pictures, for strangers as
    little as for one person, so one threshold holds for all.
    """
    mine = _floats(body.vector)
    theirs = _floats(b"".join([other.vector for other in others])).reshape(len(others), -1)
    cosines: list[float] = (theirs @ mine).tolist()
    return cosines


def _floats(packed: bytes) -> NDArray[np.float32]:
    return np.frombuffer(packed, "<f2").astype(np.float32)
