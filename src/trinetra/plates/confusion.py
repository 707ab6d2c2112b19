"""Characters that readers of plates confuse, as letters and digits of similar shape."""

from collections.abc import Iterable

_ALIKE = (
    *(("O", "0"), ("I", "1"), ("Z", "2"), ("S", "5"), ("G", "6"), ("B", "8")),
    *(("Q", "0"), ("D", "0"), ("T", "7"), ("L", "1"), ("A", "4")),
)
"""A letter, and the digit that it looks like; the first six resemble each other most."""
_CLOSE = 6

DIGIT_OF = dict(_ALIKE)
"""The digit that a letter may really be."""
LETTER_OF = {digit: letter for letter, digit in reversed(_ALIKE)}
"""The letter that a digit may really be: of several, the one most alike."""
_PAIRS = frozenset(frozenset(pair) for pair in _ALIKE)
_FOLDED = str.maketrans(dict(_ALIKE[:_CLOSE]))


def are_alike(first: str, second: str) -> bool:
    """Return whether two characters are a letter and a digit of similar shape."""
    return frozenset((first, second)) in _PAIRS


def folded(text: str) -> str:
    """Return a text with each letter replaced by the digit that can hardly be told from it.

    Two readings of one plate that differ only by O and 0, I and 1, Z and 2, S and 5, G and 6 or
    B and 8 are then equal.
    """
    return text.translate(_FOLDED)


def letters_and_digits(text: str) -> str:
    """Return a text in upper case without separators, such as spaces and hyphens.

    Letters of every script are kept.
    """
    return "".join(_kept(text.upper()))


def _kept(text: str) -> Iterable[str]:
    return (character for character in text if character.isalnum())
