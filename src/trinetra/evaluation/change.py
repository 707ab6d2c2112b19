"""Compares two runs over the same detections."""

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
    "recognized",
    "made new",
    "split off",
    "joined",
    "reassigned",
    "removed",
    "added",
]
Better = Literal["better", "worse", "same"]
_SMALLER_IS_BETTER = (
    *("_error", "_rate", "_switches", "_percent"),
    *("splits", "merges", "ghosts", "missed", "false"),
)
"""Suffixes of score names that count errors: smaller is better."""
_SAME = 5e-7


class TrackChange(NamedTuple):
    """A track with different results in the two runs; None if a run has no such track."""

    track: TrackId
    kind: ChangeKind
    before: Verdict | None
    after: Verdict | None

    @property
    def verdict(self) -> Verdict:
        """Verdict of the first run, or of the second if the first has no such track."""
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
    """A score against the ground truth in both runs, and which run is better."""

    kind: str
    name: str
    of: str
    before: float
    after: float
    better: Better


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences between two runs: changed tracks, and all figures.

    ``split`` counts identities of the first run that are several in the second, ``joined`` those of
    the second run that were several in the first.
    """

    changes: tuple[TrackChange, ...]
    figures: tuple[Figure, ...]
    tracks_in_both: int
    split: int
    joined: int

    def by_camera(self) -> dict[str, Counter[ChangeKind]]:
        """Return the number of tracks of each camera by kind of change."""
        counts: dict[str, Counter[ChangeKind]] = defaultdict(Counter)
        for change in self.changes:
            counts[change.verdict.camera][change.kind] += 1
        return dict(sorted(counts.items()))


def differences(before: Outcome, after: Outcome) -> Differences:
    """Return the differences between two runs.

    An identity is identified by the track that created it, so the same person may have different
    ids in the two runs. Identities are therefore paired one to one by the number of tracks that
    they share, most first. If a track's identity in the second run is not the partner of its
    identity in the first: the track was split off if the new identity is no one's partner, joined
    if the old identity has no partner, and reassigned if both have one.
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
    """Return the scores that both runs have, and which run is better."""
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
    """Return whether a score improved; errors improve by getting smaller."""
    gain = abs(before) - abs(after) if name.endswith(_SMALLER_IS_BETTER) else after - before
    if abs(gain) < _SAME:
        return "same"
    return "better" if gain > 0 else "worse"


def _kind(
    before: Verdict | None, after: Verdict | None, partner: Mapping[CustomerId, CustomerId]
) -> ChangeKind | None:
    kind: ChangeKind | None = None
    if before is None or after is None:
        kind = "added" if before is None else "removed"
    elif before.customer is None or after.customer is None:
        if before.customer or after.customer:
            kind = "named" if after.customer else "unnamed"
    elif partner.get(before.customer) != after.customer:
        kind = _way(before.customer, after.customer, partner)
    elif before.status != after.status:
        kind = "recognized" if after.status == "known" else "made new"
    return kind


def _way(
    before: CustomerId, after: CustomerId, partner: Mapping[CustomerId, CustomerId]
) -> ChangeKind:
    """Return how a track moved from one identity to one that is not its partner."""
    if before not in partner:
        return "joined"
    return "reassigned" if after in partner.values() else "split off"


def _shared(before: Outcome, after: Outcome) -> Counter[tuple[CustomerId, CustomerId]]:
    """Return the number of tracks that each pair of identities shares."""
    pairs: Counter[tuple[CustomerId, CustomerId]] = Counter()
    for track, verdict in before.verdicts.items():
        other = after.verdicts.get(track)
        if verdict.customer and other and other.customer:
            pairs[verdict.customer, other.customer] += 1
    return pairs


def _partners(shared: Counter[tuple[CustomerId, CustomerId]]) -> dict[CustomerId, CustomerId]:
    """Pair identities one to one, most shared tracks first; equal ids win ties."""
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
