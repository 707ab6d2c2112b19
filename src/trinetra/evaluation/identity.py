"""How well people are told apart and known again, over all cameras and in an open set.

A track is of the person whose boxes it covers most. The gallery starts empty and people are
enrolled as they come, so for each track there are two ways to be right: a person who has an
identity by then ("mated", in the words of ISO/IEC 19795-1) must be known, and anybody else must be
new.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trinetra.evaluation.boxes import Boxes
from trinetra.evaluation.comparison import Comparison, assign, compare
from trinetra.evaluation.intervals import Interval, poisson, wilson
from trinetra.evaluation.scores import Score, ScoreSheet, share
from trinetra.evaluation.tracking import identity_f1
from trinetra.evaluation.truth import Decision

_EPS = np.finfo(np.float64).eps
_PER_VISITS = 1000.0
WITH_FACES = "where faces are read"


@dataclass(slots=True)
class OpenSet:
    """How the searches of an open set ended; a search is a track with a usable face.

    mated, unmated: searches of people who had an identity by then, and of those who had none.
    misidentified: mated searches that were given somebody else's identity.
    false_matches: the same of unmated ones.
    false_new: mated searches that were given a new identity.
    undecided: searches that were given none.
    ghosts: tracks of nobody that were given an identity.
    splits: identities a person has beyond the first; merges: people an identity has beyond one.
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
        """Count the end of one track; tracks must come in the order in which they were decided."""
        customer = decision.customer
        if person is None:
            self.ghosts += customer is not None
            return
        if not decision.was_searched and customer is None:
            return
        is_mated = person in self._enrolled
        self.mated += is_mated
        self.unmated += not is_mated
        if customer is None:
            self.undecided += 1
            return
        self._judge(customer, person, is_mated=is_mated)
        self._people[customer].add(person)

    def _judge(self, customer: str, person: str, *, is_mated: bool) -> None:
        # An identity nobody had before is the person's own, whatever the event calls it: the
        # gallery may have known them from before the recording.
        owner = self._owner.get(customer)
        if owner is None:
            self._owner[customer] = person
            self._enrolled.add(person)
            self.false_new += is_mated
        elif owner != person:
            self.misidentified += is_mated
            self.false_matches += not is_mated

    def close(self) -> "OpenSet":
        """Return the counts with splits and merges, which only the end tells."""
        owned = Counter(self._owner.values())
        return replace(
            self,
            splits=sum(count - 1 for count in owned.values()),
            merges=sum(len(people) - 1 for people in self._people.values()),
        )


def people_of_tracks(comparison: Comparison, min_iou: float = 0.5) -> dict[str, str]:
    """Return the person that each found track covers in most frames; a tie goes to either.

    The comparison must share its names over cameras. Tracks that cover nobody are left out.
    """
    pairs = comparison.pairs
    near = np.where(pairs.iou >= min_iou - _EPS, pairs.iou, 0.0)
    chosen = assign(pairs, near)
    chosen = chosen[near[chosen] > 0]
    person = comparison.truth.name[pairs.truth[chosen]]
    track = comparison.found.name[pairs.found[chosen]]
    width = len(comparison.truth.names) + 1
    codes, frames = np.unique(track * width + person, return_counts=True)
    names = comparison.truth.names, comparison.found.names
    best = {int(c // width): int(c % width) for c in codes[np.argsort(frames, kind="stable")]}
    return {names[1][t]: names[0][p] for t, p in best.items()}


def open_set(decisions: Iterable[Decision], people: Mapping[str, str]) -> OpenSet:
    """Return how the tracks' searches ended, given whose they are."""
    counts = OpenSet()
    for decision in sorted(decisions, key=lambda d: (d.decided_us, d.track)):
        counts.add(decision, people.get(decision.track))
    return counts.close()


def score_identities(
    cameras: Mapping[str, tuple[Boxes, Boxes]],
    decisions: Sequence[Decision],
    *,
    visits: int | None,
    tolerance_us: int,
    min_iou: float = 0.5,
) -> ScoreSheet:
    """Return identity scores over all cameras.

    ``cameras`` holds the boxes of people and of tracks, camera by camera. Where the number of
    ``visits`` is not known, everybody came once. Boxes are scored over all cameras, and over those
    alone that compared a face: without one, nobody can be named.
    """
    tracks = compare(list(cameras.values()), tolerance_us=tolerance_us, share_names=True)
    customers = {d.track: d.customer for d in decisions if d.customer}
    named = {
        camera: (truth, found.renamed(customers)) for camera, (truth, found) in cameras.items()
    }
    searching = {d.camera for d in decisions if d.was_searched}
    with_faces = [sides for camera, sides in named.items() if camera in searching]
    people = people_of_tracks(tracks, min_iou)
    counts = open_set(decisions, people)
    people_there = int(np.count_nonzero(tracks.truth.boxes_per_name))
    known = len(set(customers.values()))
    scores = [
        *_of_boxes("", list(named.values()), tolerance_us, min_iou),
        *_of_boxes(WITH_FACES, with_faces, tolerance_us, min_iou),
        *_rates(counts),
        *_per_visits(counts, people_there if visits is None else visits),
        Score(
            name="people_error", value=float(known - people_there), truth=people_there, found=known
        ),
    ]
    return ScoreSheet("identities", tuple(scores), {"min_iou": min_iou, "tracks": len(decisions)})


def _of_boxes(
    of: str, cameras: list[tuple[Boxes, Boxes]], tolerance_us: int, min_iou: float
) -> list[Score]:
    if not cameras:
        return []
    sides = compare(cameras, tolerance_us=tolerance_us, share_names=True)
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


def _per_visits(counts: OpenSet, visits: int) -> list[Score]:
    told = (("splits", counts.splits), ("merges", counts.merges), ("ghosts", counts.ghosts))
    return [
        Score(
            name=name,
            value=_PER_VISITS * count / visits if visits else None,
            unit="per 1,000 visits",
            interval=_scaled(poisson(count), _PER_VISITS / visits) if visits else None,
            found=count,
            n=visits,
        )
        for name, count in told
    ]


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.high * factor)
