"""Compares plates: edit distance in which similar characters are cheap, and patterns.

In a pattern ``*`` stands for any number of characters and ``?`` for one; spaces and hyphens have no
meaning, in patterns as in plates.
"""

from collections.abc import Sequence

from trinetra.plates.confusion import are_alike, letters_and_digits

ALIKE_COST = 0.25
"""Cost of taking a character for one of similar shape; a lost, added or other one costs 1."""
_ANY, _ONE = "*", "?"


def distance(first: str, second: str, alike_cost: float = ALIKE_COST) -> float:
    """Return the least cost of edits that make one text of the other (Levenshtein, 1966)."""
    return _distance(list(first), second, alike_cost)


def pattern_distance(pattern: str, text: str) -> float:
    """Return the least cost of edits that make a text match a pattern; 0 if it does."""
    wanted = [c for c in pattern.upper() if c in {_ANY, _ONE} or c.isalnum()]
    return _distance(wanted, letters_and_digits(text), ALIKE_COST, with_wildcards=True)


def matches(pattern: str, text: str, max_cost: float = 0.0) -> bool:
    """Return whether a text matches a pattern, with edits up to a cost."""
    return pattern_distance(pattern, text) <= max_cost


def _distance(
    wanted: Sequence[str], text: str, alike_cost: float, *, with_wildcards: bool = False
) -> float:
    costs = [float(skipped) for skipped in range(len(text) + 1)]
    for piece in wanted:
        if with_wildcards and piece == _ANY:
            costs = _after_any(costs)
        elif with_wildcards and piece == _ONE:
            costs = _after_one(costs, [0.0] * len(text))
        else:
            costs = _after_one(costs, [_replacing(piece, c, alike_cost) for c in text])
    return costs[-1]


def _after_any(costs: Sequence[float]) -> list[float]:
    """Return the costs after a piece that any run of characters matches for nothing."""
    least: list[float] = []
    for cost in costs:
        least.append(min(cost, least[-1]) if least else cost)
    return least


def _after_one(costs: Sequence[float], replacing: Sequence[float]) -> list[float]:
    """Return the costs after a piece that costs so much in place of each character."""
    after = [costs[0] + 1.0]
    for place, replaced in enumerate(replacing):
        after.append(min(costs[place] + replaced, costs[place + 1] + 1.0, after[-1] + 1.0))
    return after


def _replacing(piece: str, character: str, alike_cost: float) -> float:
    if piece == character:
        return 0.0
    return alike_cost if are_alike(piece, character) else 1.0
