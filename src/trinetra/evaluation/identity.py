"""Open-set identification scores over all cameras.

A track belongs to the person whose boxes it covers most. A track that switched from one person to
another, and was reported to have done so, counts as one track per person. The gallery starts empty
and people are enrolled as they come, so each track has one of two correct results: a person who has
an identity by then ("mated" in ISO/IEC 19795-1) must be known, and all others must be new.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from trinetra.evaluation.boxes import Boxes, Ints
from trinetra.evaluation.comparison import Comparison, assign, compare
from trinetra.evaluation.faces import Shown, person_of
from trinetra.evaluation.intervals import Interval, poisson, wilson
from trinetra.evaluation.scores import Score, ScoreSheet, share
from trinetra.evaluation.tracking import identity_f1
from trinetra.evaluation.truth import Decision, Presence

_EPS = np.finfo(np.float64).eps
_PER_VISITS = 1000.0
WITH_FACES = "where faces are read"
FACE_SHOWN = "where a face was shown"
LEAST_FACES = 3
"""Minimum faces of a walk that could be identified: as many as a new identity takes."""
AT_LEAST_48_PX = "48 px and larger"
_BANDS_PX = (
    ("below 40 px", 0.0, 40.0),
    ("40 to 48 px", 40.0, 48.0),
    ("48 to 64 px", 48.0, 64.0),
    ("64 px and larger", 64.0, math.inf),
    (AT_LEAST_48_PX, 48.0, math.inf),
)

Placed = dict[str, tuple[Boxes, Boxes]]


@dataclass(slots=True)
class OpenSet:
    """Outcomes of open-set searches; a search is a track with a usable face.

    mated, unmated: searches of people who had an identity by then, and of people who had none.
    misidentified: mated searches that returned another person's identity.
    false_matches: unmated searches that returned another person's identity.
    false_new: mated searches that were given a new identity.
    undecided: searches that were given no identity.
    ghosts: tracks that cover no person but were given an identity.
    splits: identities of a person beyond the first; merges: people of an identity beyond one.
    """

    mated: int = 0
    unmated: int = 0
    misidentified: int = 0
    false_matches: int = 0
    false_new: int = 0
    undecided: int = 0
    ghosts: int = 0
    splits: int = 0
    merges: int = 0
    _owner: dict[str, str] = field(default_factory=dict)
    _enrolled: set[str] = field(default_factory=set)
    _people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, decision: Decision, person: str | None) -> None:
        """Count the result of one track; tracks must be added in order of decision."""
        customer = decision.customer
        if person is None:
            self.ghosts += customer is not None
            return
        if decision.linked or (not decision.was_searched and customer is None):
            return  # not a search by face; links have scores of their own
        is_mated = person in self._enrolled
        self.mated += is_mated
        self.unmated += not is_mated
        if customer is None:
            self.undecided += 1
            return
        self._judge(customer, person, is_mated=is_mated)
        self._people[customer].add(person)

    def _judge(self, customer: str, person: str, *, is_mated: bool) -> None:
        # The first person to get an identity owns it, whatever status the event reports: the
        # gallery may know the person from before the recording.
        owner = self._owner.get(customer)
        if owner is None:
            self._owner[customer] = person
            self._enrolled.add(person)
            self.false_new += is_mated
        elif owner != person:
            self.misidentified += is_mated
            self.false_matches += not is_mated

    def close(self) -> "OpenSet":
        """Return the counts with splits and merges, which are only known at the end."""
        owned = Counter(self._owner.values())
        return replace(
            self,
            splits=sum(count - 1 for count in owned.values()),
            merges=sum(len(people) - 1 for people in self._people.values()),
        )


def people_of_tracks(comparison: Comparison, min_iou: float = 0.5) -> dict[str, str]:
    """Return the person that each found track covers in most frames; ties are arbitrary.

    The comparison must share its names over cameras. Tracks that cover no person are left out.
    """
    pairs, chosen = comparison.pairs, _covered(comparison, min_iou)
    person = comparison.truth.name[pairs.truth[chosen]]
    track = comparison.found.name[pairs.found[chosen]]
    width = len(comparison.truth.names) + 1
    codes, frames = np.unique(track * width + person, return_counts=True)
    names = comparison.truth.names, comparison.found.names
    best = {int(c // width): int(c % width) for c in codes[np.argsort(frames, kind="stable")]}
    return {names[1][t]: names[0][p] for t, p in best.items()}


def _covered(comparison: Comparison, min_iou: float) -> Ints:
    """Return the pairs of boxes, one to one in each frame, that overlap enough."""
    near = np.where(comparison.pairs.iou >= min_iou - _EPS, comparison.pairs.iou, 0.0)
    chosen = assign(comparison.pairs, near)
    return chosen[near[chosen] > 0]


def open_set(decisions: Iterable[Decision], people: Mapping[str, str]) -> OpenSet:
    """Return the outcomes of the tracks' searches, given the person of each track."""
    counts = OpenSet()
    for decision in sorted(decisions, key=lambda d: (d.decided_us, d.track)):
        counts.add(decision, people.get(decision.segment))
    return counts.close()


@dataclass(slots=True)
class Returns:
    """Recognition of people who entered a view and had an identity by then.

    A walk through a view counts once, however many tracks it became: the person is recognized if at
    least one of the tracks has the person's own identity and none has another's.
    """

    _owner: dict[str, str] = field(default_factory=dict)
    _owners_by_walk: dict[str, set[str]] = field(default_factory=dict)
    _first: set[str] = field(default_factory=set)

    def add(self, decision: Decision, walk: str) -> None:
        """Add the result of a track; tracks must be added in order of decision."""
        person = person_of(walk)
        if walk not in self._owners_by_walk and walk not in self._first:
            if person in self._owner.values():
                self._owners_by_walk[walk] = set()
            else:
                self._first.add(walk)
        if decision.customer is not None:
            owner = self._owner.setdefault(decision.customer, person)
            if walk in self._owners_by_walk:
                self._owners_by_walk[walk].add(owner)

    def scores(self, shown: Mapping[str, Shown]) -> list[Score]:
        """Return the fraction recognized among walks that showed enough faces, by face size."""
        sized = [
            (shown[walk].largest_px, owners == {person_of(walk)})
            for walk, owners in self._owners_by_walk.items()
            if walk in shown and shown[walk].faces >= LEAST_FACES
        ]
        return [
            _recognition_score(name, [right for px, right in sized if low <= px < high])
            for name, low, high in _BANDS_PX
        ]


def _recognition_score(band: str, outcomes: Sequence[bool]) -> Score:
    right, walks = sum(outcomes), len(outcomes)
    return Score(
        name="recognised_again",
        of=band,
        value=share(right, walks),
        interval=wilson(right, walks) if walks else None,
        n=walks,
        note="" if walks else "no such person returned",
    )


class Walks(NamedTuple):
    """The boxes of people per camera, named by their walks, and the faces that each walk showed."""

    boxes: Mapping[str, Boxes]
    shown: Mapping[str, Shown]


def score_identities(
    cameras: Mapping[str, tuple[Boxes, Boxes]],
    decisions: Sequence[Decision],
    *,
    visits: Sequence[Presence] | None,
    tolerance_us: int,
    min_iou: float = 0.5,
    walks: Walks | None = None,
) -> ScoreSheet:
    """Return identity scores over all cameras.

    ``cameras`` holds the boxes of people and of tracks by camera; ``walks`` holds the boxes of
    people again, row by row, named by their walks through the views, and ``shown`` the faces shown
    in each walk. If the number of ``visits`` is unknown, everyone is assumed to have come once. Box
    scores are computed over all cameras, over only the cameras that compared a face, and over only
    the walks that showed one: without a face, a person cannot be identified.
    """
    cuts = _cuts(decisions)
    cameras = {camera: (truth, found.cut(cuts)) for camera, (truth, found) in cameras.items()}
    tracks = compare(list(cameras.values()), tolerance_us=tolerance_us, share_names=True)
    customers = {d.segment: d.customer for d in decisions if d.customer}
    named = {
        camera: (truth, found.renamed(customers)) for camera, (truth, found) in cameras.items()
    }
    everything = compare(list(named.values()), tolerance_us=tolerance_us, share_names=True)
    searching = {d.camera for d in decisions if d.was_searched}
    with_faces = [sides for camera, sides in named.items() if camera in searching]
    people = people_of_tracks(tracks, min_iou)
    counts = open_set(decisions, people)
    people_there = int(np.count_nonzero(tracks.truth.boxes_per_name))
    known = len(set(customers.values()))
    scores = [
        *_of_boxes("", everything, min_iou),
        *_rates(counts),
        *_of_time(everything, customers, visits, min_iou),
        _of_links(decisions, people),
        *_per_visits(counts, people_there if visits is None else len(visits)),
        Score(
            name="people_error", value=float(known - people_there), truth=people_there, found=known
        ),
    ]
    if with_faces:
        sides = compare(with_faces, tolerance_us=tolerance_us, share_names=True)
        scores += _of_boxes(WITH_FACES, sides, min_iou)
    if walks and walks.boxes and walks.shown:
        walked = [(walks.boxes[camera], found) for camera, (_, found) in cameras.items()]
        everybody = compare(walked, tolerance_us=tolerance_us, share_names=True)
        scores += _of_walks(everything, everybody, decisions, walks.shown, min_iou)
    return ScoreSheet("identities", tuple(scores), {"min_iou": min_iou, "tracks": len(decisions)})


def _cuts(decisions: Sequence[Decision]) -> dict[str, list[tuple[int, str]]]:
    """Return, for each track that changes person, the times and names of its segments."""
    cuts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for decision in sorted(decisions, key=lambda d: d.since_us or 0):
        if decision.since_us is not None:
            cuts[decision.track].append((decision.since_us, decision.segment))
    return dict(cuts)


def _of_walks(
    named: Comparison,
    everybody: Comparison,
    decisions: Sequence[Decision],
    shown: Mapping[str, Shown],
    min_iou: float,
) -> list[Score]:
    """Return the scores of walks that showed enough faces; ``everybody`` has walks and tracks."""
    walks = everybody.truth.names
    enough = [w in shown and shown[w].faces >= LEAST_FACES for w in walks]
    truth = np.array([*enough, False])[everybody.truth.name]
    found = np.ones(len(everybody.found), np.bool_)
    # Detections of the other walks count neither as right nor as wrong.
    covered = _covered(everybody, min_iou)
    found[everybody.pairs.found[covered][~truth[everybody.pairs.truth[covered]]]] = False
    returns = Returns()
    owners = people_of_tracks(everybody, min_iou)
    for decision in sorted(decisions, key=lambda d: (d.decided_us, d.track)):
        if walk := owners.get(decision.segment):
            returns.add(decision, walk)
    return [
        *_of_boxes(FACE_SHOWN, named.where(truth, found), min_iou),
        *returns.scores(shown),
    ]


def _of_boxes(of: str, sides: Comparison, min_iou: float) -> list[Score]:
    counts = identity_f1(sides, min_iou)
    truths, claims = counts.tp + counts.fn, counts.tp + counts.fp
    return [
        Score(name="identity_f1", of=of, value=counts.idf1 if truths else None, n=truths),
        Score(name="identity_precision", of=of, value=share(counts.tp, claims), n=claims),
        Score(name="identity_recall", of=of, value=share(counts.tp, truths), n=truths),
    ]


def _rates(counts: OpenSet) -> list[Score]:
    searches = counts.mated + counts.unmated
    rates = (
        ("false_match_rate", counts.false_matches, counts.unmated, "of people without an identity"),
        ("misidentified_rate", counts.misidentified, counts.mated, "of people with an identity"),
        ("false_new_rate", counts.false_new, counts.mated, "of people with an identity"),
        ("undecided_rate", counts.undecided, searches, "of tracks with a usable face"),
    )
    return [
        Score(
            name=name,
            value=share(part, whole),
            interval=wilson(part, whole) if whole else None,
            n=whole,
            note=note if whole else f"none {note}",
        )
        for name, part, whole, note in rates
    ]


def _of_time(
    named: Comparison,
    customers: Mapping[str, str],
    visits: Sequence[Presence] | None,
    min_iou: float,
) -> list[Score]:
    """Return the shares of visitors' tracked time with their own identity, and with another's.

    A customer is the person whose tracked boxes carry it most often; everybody else who carries it
    is named wrongly. Without ``visits`` everyone is a visitor.
    """
    pairs, chosen = named.pairs, _covered(named, min_iou)
    person = named.truth.name[pairs.truth[chosen]]
    names = np.array([*named.found.names, ""])
    carried = names[named.found.name[pairs.found[chosen]]]
    known = np.isin(carried, sorted(set(customers.values())))
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for customer, who in zip(carried[known].tolist(), person[known].tolist(), strict=True):
        votes[customer][who] += 1
    owner = {customer: count.most_common(1)[0][0] for customer, count in votes.items()}
    right = known & (np.array([owner.get(c, -1) for c in carried.tolist()]) == person)
    visitors = {visit.who for visit in visits or ()}
    counted = np.array([visits is None or name in visitors for name in (*named.truth.names, "")])
    counts = counted[person]
    total = int(counts.sum())
    return [
        Score(name="identified_share", value=share(int((right & counts).sum()), total), n=total),
        Score(
            name="misnamed_share", value=share(int((known & ~right & counts).sum()), total), n=total
        ),
    ]


def _of_links(decisions: Sequence[Decision], people: Mapping[str, str]) -> Score:
    """Return the share of links by body to another person than the track shows."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    linked = []
    for decision in decisions:
        person = people.get(decision.segment)
        if decision.customer is None or person is None:
            continue
        if decision.linked:
            linked.append((decision.customer, person))
        else:
            votes[decision.customer][person] += 1
    owner = {customer: count.most_common(1)[0][0] for customer, count in votes.items()}
    wrong = sum(owner.get(customer) != person for customer, person in linked)
    return Score(
        name="false_link_rate",
        value=share(wrong, len(linked)),
        interval=wilson(wrong, len(linked)) if linked else None,
        n=len(linked),
        note="of tracks linked by body" if linked else "none linked by body",
    )


def _per_visits(counts: OpenSet, visits: int) -> list[Score]:
    counted = (("splits", counts.splits), ("merges", counts.merges), ("ghosts", counts.ghosts))
    return [
        Score(
            name=name,
            value=_PER_VISITS * count / visits if visits else None,
            unit="per 1,000 visits",
            interval=_scaled(poisson(count), _PER_VISITS / visits) if visits else None,
            found=count,
            n=visits,
        )
        for name, count in counted
    ]


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.high * factor)
