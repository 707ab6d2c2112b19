"""Match thresholds for the number of people that a visitor can be taken for.

A visitor unknown to the gallery is compared with every person in it, so at one fixed threshold
more and more of them are taken for one of these as it grows. Here the policy is a target, the share
of such visitors. By Boole's inequality it holds if each of ``n`` people is taken with at most
``target / n``, whatever their scores depend on; the tail of impostor scores says at which score
that is the case (docs/adr/0019).

The target is divided into two halves: one for the people who are on site now, one for the whole
gallery. Few people are on site, so a visitor is followed through the shop at a lower threshold than
a customer is recognized after weeks, and the sum is still the target.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple

from trinetra.events.schema import Rivalry, ThresholdBasis
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.impostors import ImpostorTail

_RIVALRIES: tuple[Rivalry, Rivalry] = ("gallery", "on_site")
_STEPS: tuple[int, ...] = (*(n * 10**power for power in range(1, 7) for n in (1, 2, 5)), 10**7)
_SHRUNK = 0.8
"""Share of a lower step below which a number must fall before that step applies."""
_LEAD_ODDS = 4.0
"""How much rarer a stranger with the best score must be than one with the runner-up's.

Of two people who both reach the threshold the best one is then right in at least four of five
cases, and two who do are as rare as the target.
"""
_IN_DOUBT, _NEVER_NEW = 0.1, 0.01
"""Shares of strangers who are enrolled only after more faces, and who are not enrolled at all.

The larger they are, the fewer returning visitors who scored too little are enrolled again.
"""
_MERGES_PER_MATCH = 0.1
"""False merges per new identity, relative to the target: a merge affects all that two people do."""


def step_up(people: int) -> int:
    """Return the least of 10, 20, 50, 100, ..., ten million that covers a number of people."""
    return _STEPS[min(bisect_left(_STEPS, people), len(_STEPS) - 1)]


class Rivals(NamedTuple):
    """How many people a visitor can be taken for, rounded up in steps."""

    gallery: int = _STEPS[0]
    on_site: int = _STEPS[0]

    def updated(self, gallery: int, on_site: int) -> "Rivals":
        """Return the steps for new numbers; ones near a step do not make the threshold flicker."""
        return Rivals(_next_step(self.gallery, gallery), _next_step(self.on_site, on_site))


_NOBODY = Rivals()


def _next_step(present: int, people: int) -> int:
    if people > present:
        return step_up(people)
    return min(present, step_up(int(people / _SHRUNK)))


@dataclass(frozen=True, slots=True)
class OpenSetTarget:
    """What thresholds are derived from.

    ``rate`` is the share of visitors unknown to the gallery that may be taken for a person in it.
    ``tails`` are those of impostor scores, by the least size of the faces that they hold for, in
    pixels. ``keeps`` names the limits of the policy that are given: ``margin``, ``new_below``.
    """

    rate: float
    tails: Mapping[float, ImpostorTail]
    keeps: frozenset[str] = frozenset()


class ThresholdTable:
    """The policies for every number of rivals and size of faces, derived once.

    No threshold is below that of the given policy.
    """

    def __init__(self, policy: MatchingPolicy, target: OpenSetTarget) -> None:
        self._target = target
        self._sizes_px = sorted(target.tails)
        self._policies = {
            (among, step, face_px): derived_policy(policy, target, step, face_px, among)
            for among in _RIVALRIES
            for step in _STEPS
            for face_px in self._sizes_px
        }

    def policy(self, rivals: Rivals, among: Rivalry, face_px: float) -> MatchingPolicy:
        """Return the policy for fused faces of this mean size."""
        row = max(0, bisect_right(self._sizes_px, face_px) - 1)
        step = rivals.gallery if among == "gallery" else rivals.on_site
        return self._policies[among, step, self._sizes_px[row]]

    def merge_limits(self, rivals: Rivals) -> tuple[float, float]:
        """Return the scores from which two identities are merged, or proposed for merging.

        The pairs of a gallery grow with its square, its new identities one by one: each is compared
        with all others, as a visitor is. Stored faces have no size, so the limits are those of the
        smallest faces.
        """
        rate = self._target.rate / rivals.gallery
        tail = self._target.tails[self._sizes_px[0]]
        merge_at, propose_at = tail.score_at(_MERGES_PER_MATCH * rate), tail.score_at(rate)
        return min(1.0, merge_at), min(1.0, propose_at)


def derived_policy(
    policy: MatchingPolicy, target: OpenSetTarget, step: int, face_px: float, among: Rivalry
) -> MatchingPolicy:
    """Return the policy for a number of rivals, and faces of one of the tails' sizes."""
    tail = target.tails[face_px]
    wanted = tail.score_at(target.rate / len(_RIVALRIES) / step)
    similarity = min(1.0, max(policy.similarity, wanted))
    margin = policy.margin if "margin" in target.keeps else tail.scale * log(_LEAD_ODDS)
    doubtful, rare = (
        round(min(similarity, tail.score_at(share / len(_RIVALRIES) / step)), 4)
        for share in (_IN_DOUBT, _NEVER_NEW)
    )
    return replace(
        policy,
        similarity=round(similarity, 4),
        margin=round(margin, 4),
        new_below=policy.new_below if "new_below" in target.keeps else doubtful,
        never_new_from=rare,
        basis=ThresholdBasis(target.rate, step, among, face_px),
    )


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """The policies in force: derived ones for the present rivals, or the given one for all."""

    given: MatchingPolicy
    table: ThresholdTable | None = None
    rivals: Rivals = _NOBODY

    def policy(self, among: Rivalry, face_px: float) -> MatchingPolicy:
        """Return the policy for a candidate, and fused faces of this mean size."""
        if self.table is None:
            return self.given
        return self.table.policy(self.rivals, among, face_px)
