"""Figures about journeys: flows between zones, common paths, first and last zones.

Figures about few people can tell what one of them did, so cells of fewer people than the site's
``policies.privacy.least_people`` are left out of every answer.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from trinetra.events.schema import Journey
from trinetra.values import CustomerId

Key = TypeVar("Key", bound=Hashable)
Zone = str
"""A zone as ``camera/zone``."""
OUTSIDE: Zone = ""
"""Where journeys begin and end."""
Path = tuple[Zone, ...]


class Cell(NamedTuple):
    """How often something was done, and by how many people."""

    times: int
    people: int


class Shown(NamedTuple, Generic[Key]):
    """Cells that may be shown, most frequent first, and how many were left out."""

    cells: dict[Key, Cell]
    left_out: int


def path_of(journey: Journey) -> Path:
    """Return the zones of a journey in order."""
    return tuple(f"{step.camera_id}/{step.zone_id}" for step in journey.steps)


def flows(journeys: Iterable[Journey]) -> dict[tuple[Zone, Zone], Cell]:
    """Return how often people went from one zone to the next, from and to OUTSIDE included."""
    return _counted(
        (pair, journey.customer_id)
        for journey in journeys
        for pair in pairwise((OUTSIDE, *path_of(journey), OUTSIDE))
    )


def stepwise(journeys: Iterable[Journey], most: int) -> dict[tuple[int, Zone, Zone], Cell]:
    """Return the flows by their number in the journey, from 0, of the first ``most`` steps.

    Unlike ``flows`` they have no cycle, so that they can be drawn as layers.
    """
    return _counted(
        ((step, *pair), journey.customer_id)
        for journey in journeys
        for step, pair in enumerate(pairwise((OUTSIDE, *path_of(journey), OUTSIDE)))
        if step < most
    )


def paths(journeys: Iterable[Journey]) -> dict[Path, Cell]:
    """Return how often each sequence of zones was walked as a whole."""
    return _counted((path_of(journey), journey.customer_id) for journey in journeys)


def exits(journeys: Iterable[Journey]) -> dict[Zone, Cell]:
    """Return how often each zone was the last one of a journey."""
    return _counted((path[-1], who) for path, who in _walked(journeys))


def shown(cells: Mapping[Key, Cell], least_people: int) -> Shown[Key]:
    """Return the cells of at least so many people.

    If only one cell is smaller, its figure could be told from the sum of all: then the smallest of
    the others is left out as well.
    """
    kept = {key: cell for key, cell in cells.items() if cell.people >= least_people}
    if len(cells) - len(kept) == 1 and kept:
        del kept[min(kept, key=lambda key: (kept[key].people, kept[key].times, repr(key)))]
    order = sorted(kept, key=lambda key: (-kept[key].times, repr(key)))
    return Shown({key: kept[key] for key in order}, len(cells) - len(kept))


def _walked(journeys: Iterable[Journey]) -> Iterator[tuple[Path, CustomerId]]:
    return ((path_of(journey), journey.customer_id) for journey in journeys if journey.steps)


def _counted(done: Iterable[tuple[Key, CustomerId]]) -> dict[Key, Cell]:
    times: Counter[Key] = Counter()
    people: dict[Key, set[CustomerId]] = defaultdict(set)
    for key, customer_id in done:
        times[key] += 1
        people[key].add(customer_id)
    return {key: Cell(number, len(people[key])) for key, number in times.items()}
