"""Votes over the readings of one plate, character by character.

A vehicle is read in several frames, and readings differ by a character or by one lost at the edge.
The number of characters is voted on first, because characters of texts of different lengths do not
correspond; then the readings of that length vote at each position, each with the probability that
its character had. The result does not depend on the order of the readings.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

_Choice = TypeVar("_Choice", bound=Hashable)
_SCALE = 1 << 20
"""Weights are summed as integers: sums of floats would depend on their order."""


class Reading(Protocol):
    """One reading: a text and the probability of each of its characters."""

    @property
    def text(self) -> str:
        """The characters."""

    @property
    def confidences(self) -> tuple[float, ...]:
        """The probability of each character."""


class Vote(NamedTuple):
    """The elected text, its confidence in 0..1, and how many readings agree with all of it.

    ``confidence`` is the mean, over the positions, of the share of all votes that the character
    got; a vote of another length is one against every character.
    """

    text: str
    confidence: float
    agreeing: int
    readings: int


def vote(readings: Iterable[Reading]) -> Vote | None:
    """Return the text that the readings elect; None if none has a character."""
    cast = [reading for reading in readings if reading.text]
    if not cast:
        return None
    length = _elected(_sums((len(r.text), _weight(r)) for r in cast), largest=True)
    voters = [reading for reading in cast if len(reading.text) == length]
    text = "".join(_elected(_ballot(voters, place)) for place in range(length))
    agreeing = sum(reading.text == text for reading in voters)
    return Vote(text, _confidence(text, voters, len(cast)), agreeing, len(cast))


def _ballot(voters: Sequence[Reading], place: int) -> Mapping[str, int]:
    return _sums((r.text[place], _scaled(r.confidences[place])) for r in voters)


def _confidence(text: str, voters: Sequence[Reading], cast: int) -> float:
    won = sum(_ballot(voters, place)[character] for place, character in enumerate(text))
    return won / (_SCALE * len(text) * cast)


def _weight(reading: Reading) -> int:
    return sum(map(_scaled, reading.confidences)) // len(reading.text)


def _scaled(probability: float) -> int:
    return round(probability * _SCALE)


def _sums(votes: Iterable[tuple[_Choice, int]]) -> Mapping[_Choice, int]:
    sums: defaultdict[_Choice, int] = defaultdict(int)
    for choice, weight in votes:
        sums[choice] += weight
    return sums


def _elected(sums: Mapping[_Choice, int], *, largest: bool = False) -> _Choice:
    """Return the choice with most weight; of equal ones the smallest, or the largest."""
    ranked = sorted(sums, reverse=largest)  # type: ignore[type-var]  # strings or integers
    return max(ranked, key=lambda choice: sums[choice])
