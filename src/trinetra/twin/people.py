"""Generates the population: strangers, regulars, look-alikes, staff, and their groups."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trinetra.twin.plan import Point
from trinetra.twin.scenario import Behavior, Duration
from trinetra.twin.streams import Part, stream

PersonKind = Literal["shopper", "staff"]
_GROUP_MAX = 6
_FULL_GROWN_M = (1.71, 0.09)
_CHILD_M = (1.25, 0.12)
_CHILD_SHARE = 0.15
_AWAY_S = 6 * 3600.0
"""A regular who has left does not return before the next opening."""
_SIDE_M = 0.65


@dataclass(frozen=True, slots=True)
class Person:
    """A person with a body and a face; ``look_alike_of`` indexes a person with a similar face."""

    index: int
    kind: PersonKind
    is_regular: bool
    height_m: float
    look_alike_of: int | None = None

    @property
    def person_id(self) -> str:
        """Id of the person in the ground truth."""
        return f"p{self.index:06d}"


def draw_duration(rng: np.random.Generator, law: Duration) -> float:
    """Return a log-normal duration within the law's bounds."""
    seconds = law.median_s * math.exp(float(rng.normal(0, law.sigma)))
    return min(max(seconds, law.least_s), law.most_s)


def group_size(rng: np.random.Generator, rate: float) -> int:
    """Return the size of a party: zero-truncated Poisson (Coleman and James, 1961)."""
    while (size := int(rng.poisson(rate))) == 0:
        pass
    return min(size, _GROUP_MAX)


def mean_group_size(rate: float) -> float:
    """Return the expected value of ``group_size``."""
    weights = [rate**n / math.factorial(n) for n in range(1, 40)]
    sizes = [min(n, _GROUP_MAX) for n in range(1, 40)]
    return sum(n * w for n, w in zip(sizes, weights, strict=True)) / sum(weights)


def offsets(rng: np.random.Generator, size: int) -> list[Point]:
    """Return the offsets of a party's members from the first member: they walk side by side."""
    places: list[Point] = [(0.0, 0.0)]
    turn = float(rng.uniform(0, 2 * math.pi))
    for member in range(1, size):
        angle = turn + member * 2.1
        places.append((_SIDE_M * math.cos(angle), _SIDE_M * math.sin(angle)))
    return places


@dataclass(slots=True)
class Population:
    """Everyone who ever came, and the regulars who may return."""

    seed: int
    behavior: Behavior
    regulars: int
    people: list[Person] = field(default_factory=list)
    _home: list[int] = field(default_factory=list)
    _back_at: dict[int, float] = field(default_factory=dict)

    def hire(self) -> Person:
        """Return a new member of staff."""
        return self._add("staff", is_regular=False, is_child=False)

    def come(self, rng: np.random.Generator, t: float, *, is_child: bool) -> Person:
        """Return the person who arrives at a time: an absent regular, or a new person."""
        if not is_child and rng.random() < self.behavior.regular_share:
            return self._regular(rng, t)
        return self._add("shopper", is_regular=False, is_child=is_child)

    def leave(self, person: Person, t: float) -> None:
        """Record that a person left; a regular stays away until the next opening."""
        if person.is_regular:
            self._back_at[person.index] = t + _AWAY_S

    def child(self, rng: np.random.Generator, member: int) -> bool:
        """Return whether a member of a party is a child; the first member never is."""
        return member > 0 and bool(rng.random() < _CHILD_SHARE)

    def _regular(self, rng: np.random.Generator, t: float) -> Person:
        slot = int(rng.integers(self.regulars))
        if slot < len(self._home):
            index = self._home[slot]
            if self._back_at.get(index, 0.0) <= t:
                self._back_at[index] = math.inf  # not available again until this person has left
                return self.people[index]
            return self._add("shopper", is_regular=False, is_child=False)
        person = self._add("shopper", is_regular=True, is_child=False)
        self._home.append(person.index)
        self._back_at[person.index] = math.inf
        return person

    def _add(self, kind: PersonKind, *, is_regular: bool, is_child: bool) -> Person:
        index = len(self.people)
        rng = stream(self.seed, Part.PERSON, index)
        mean, deviation = _CHILD_M if is_child else _FULL_GROWN_M
        height_m = float(np.clip(rng.normal(mean, deviation), 0.95, 2.05))
        twin = None
        if index and rng.random() < self.behavior.look_alike_share:
            twin = int(rng.integers(index))
        person = Person(index, kind, is_regular, round(height_m, 3), twin)
        self.people.append(person)
        return person
