"""What is different between two runs over the same detections."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from trinetra.evaluation.outcome import Outcome, Verdict
from trinetra.evaluation.scores import ScoreSheet
from trinetra.values import CustomerId, TrackId

ChangeKind = Literal[
    "named",
    "unnamed",
    "recognised",
    "made new",
    "split off",
    "joined",
    "somebody else",
    "gone",
    "come",
]
Better = Literal["better", "worse", "same"]
_SMALLER_IS_BETTER = (
    *("_error", "_rate", "_switches", "_percent"),
    *("splits", "merges", "ghosts", "missed", "false"),
)
"""Endings of the names of scores that count what is wrong."""
_SAME = 5e-7


class TrackChange(NamedTuple):
    """A track of which the two runs say different things; None where one has no such track."""

    track: TrackId
    kind: ChangeKind
    before: Verdict | None
    after: Verdict | None

    @property
    def verdict(self) -> Verdict:
        """What one of the runs says of it, the first if it has it."""
        found = self.before or self.after
        if found is None:
            raise ValueError(f"{self.track} is in neither run")
        return found


class Figure(NamedTuple):
    """A count in both runs."""

    name: str
    of: str
    before: float
    after: float


class Score(NamedTuple):
    """A score against the truth in both runs, and which of them is better."""

    kind: str
    name: str
    of: str
    before: float
    after: float
    better: Better


@dataclass(frozen=True, slots=True)
class Differences:
    """What is different: tracks by what became of them, and all figures.

    ``split`` counts identities of the first run that are several in the second, ``joined`` those of
    the second run that were several in the first.
    """

    changes: tuple[TrackChange, ...]
    figures: tuple[Figure, ...]
    tracks_in_both: int
    split: int
    joined: int

    def by_camera(self) -> dict[str, Counter[ChangeKind]]:
        """Return how many tracks of each camera changed in which way."""
        counts: dict[str, Counter[ChangeKind]] = defaultdict(Counter)
        for change in self.changes:
            counts[change.verdict.camera][change.kind] += 1
        return dict(sorted(counts.items()))


def differences(before: Outcome, after: Outcome) -> Differences:
    """Return what is different.

    An identity goes by the track that made it, so the same person may bear another id in the other
    run. Identities are therefore paired by the tracks they share, the most first, one to one. A
    track that goes to another than its own one's partner is split off where that other is nobody's
    partner, joined where its own identity has none, and went to somebody else where both have one.
    """
    shared = _shared(before, after)
    partner = _partners(shared)
    both = before.verdicts.keys() & after.verdicts.keys()
    changes = [
        TrackChange(track, kind, before.verdicts.get(track), after.verdicts.get(track))
        for track in before.verdicts.keys() | after.verdicts.keys()
        if (kind := _kind(before.verdicts.get(track), after.verdicts.get(track), partner))
    ]
    return Differences(
        changes=tuple(sorted(changes, key=lambda c: (c.verdict.at, c.track))),
        figures=tuple(_figures(before.figures, after.figures)),
        tracks_in_both=len(both),
        split=_several(one for one, _ in shared),
        joined=_several(other for _, other in shared),
    )


def scores_beside(before: Iterable[ScoreSheet], after: Iterable[ScoreSheet]) -> tuple[Score, ...]:
    """Return the scores that both runs have, with which is better."""
    rows = []
    for one, other in zip(before, after, strict=True):
        found = {(score.name, score.of): score.value for score in other.scores}
        for score in one.scores:
            now = found.get((score.name, score.of))
            if score.value is not None and now is not None:
                better = which_is_better(score.name, score.value, now)
                rows.append(Score(one.kind, score.name, score.of, score.value, now, better))
    return tuple(rows)


def which_is_better(name: str, before: float, after: float) -> Better:
    """Return whether a score is better after; errors are the better the smaller they are."""
    gain = abs(before) - abs(after) if name.endswith(_SMALLER_IS_BETTER) else after - before
    if abs(gain) < _SAME:
        return "same"
    return "better" if gain > 0 else "worse"


def _kind(
    before: Verdict | None, after: Verdict | None, partner: Mapping[CustomerId, CustomerId]
) -> ChangeKind | None:
    kind: ChangeKind | None = None
    if before is None or after is None:
        kind = "come" if before is None else "gone"
    elif before.customer is None or after.customer is None:
        if before.customer or after.customer:
            kind = "named" if after.customer else "unnamed"
    elif partner.get(before.customer) != after.customer:
        kind = _way(before.customer, after.customer, partner)
    elif before.status != after.status:
        kind = "recognised" if after.status == "known" else "made new"
    return kind


def _way(
    before: CustomerId, after: CustomerId, partner: Mapping[CustomerId, CustomerId]
) -> ChangeKind:
    """Return how a track came from one identity to another's partner, or to nobody's."""
    if before not in partner:
        return "joined"
    return "somebody else" if after in partner.values() else "split off"


def _shared(before: Outcome, after: Outcome) -> Counter[tuple[CustomerId, CustomerId]]:
    """Return how many tracks each pair of identities has in common."""
    pairs: Counter[tuple[CustomerId, CustomerId]] = Counter()
    for track, verdict in before.verdicts.items():
        other = after.verdicts.get(track)
        if verdict.customer and other and other.customer:
            pairs[verdict.customer, other.customer] += 1
    return pairs


def _partners(shared: Counter[tuple[CustomerId, CustomerId]]) -> dict[CustomerId, CustomerId]:
    """Pair identities one to one, those with most tracks in common first; ties: the same id."""
    partner: dict[CustomerId, CustomerId] = {}
    taken: set[CustomerId] = set()
    for one, other in sorted(shared, key=lambda p: (-shared[p], p[0] != p[1], p)):
        if one not in partner and other not in taken:
            partner[one] = other
            taken.add(other)
    return partner


def _several(names: Iterable[CustomerId]) -> int:
    return sum(count > 1 for count in Counter(names).values())


def _figures(
    before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]
) -> Iterator[Figure]:
    for what, of in dict.fromkeys((*before, *after)):
        yield Figure(what, of, before.get((what, of), 0.0), after.get((what, of), 0.0))
