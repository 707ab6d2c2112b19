"""Formats of license plates by country, and the correction of characters by position.

A format has a character for each position: ``L`` a letter, ``D`` a digit, any other one itself. A
reader confuses O and 0 about as often as anything else; the format of the country settles it. Only
current formats of private cars: plates of choice, of diplomats, of the army and older ones fit
none and are kept as read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from trinetra.plates.confusion import DIGIT_OF, LETTER_OF, are_alike

_L, _D = "L", "D"
_MOST_CORRECTIONS = 2

FORMATS: Mapping[str, tuple[str, ...]] = {
    # India: state, district, series, number; and the BH series for those who move.
    "IN": (
        *(f"LL{area}{series}DDDD" for area in ("DD", "D") for series in ("L", "LL", "LLL")),
        "DDBHDDDDL",
        "DDBHDDDDLL",
    ),
    "AT": ("LDDDDL", "LDDDDDL", "LLDDDL", "LLDDDLL", "LDDDLL", "LLDDLL", "LDDDDLL"),
    "BR": ("LLLDLDD", "LLLDDDD"),
    "CZ": ("DLDDDDD",),
    "DE": tuple(
        "L" * area + "L" * series + "D" * number
        for area in (1, 2, 3)
        for series in (1, 2)
        for number in (1, 2, 3, 4)
        if area + series + number <= 8  # noqa: PLR2004  the most characters of a German plate
    ),
    "ES": ("DDDDLLL",),
    "FR": ("LLDDDLL",),
    "GB": ("LLDDLLL",),
    "HR": ("LLDDDL", "LLDDDLL", "LLDDDDL", "LLDDDDLL"),
    "HU": ("LLLDDD", "LLLLDDD"),
    "IT": ("LLDDDLL",),
    "NL": ("LDDDLL", "LLDDDL", "LLLDDL", "LDDLLL", "DLLLDD", "DDLLLD", "DLLDDD"),
    "PL": ("LLDDDDD", "LLDDDDL", "LLLDDDDD", "LLLLDDD", "LLLDDDL", "LLDDDLL"),
    "PT": ("LLDDLL", "DDLLDD", "DDDDLL", "LLDDDD"),
    "RO": ("LLDDLLL", "LDDLLL", "LDDDLLL"),
    "SK": ("LLDDDLL",),
    # United States: states whose private cars have a format of one shape.
    "US-CA": ("DLLLDDD",),
    "US-CO": ("LLLLDD",),
    "US-CT": ("LLDDDDD",),
    "US-FL": ("LLLLDD", "DDDLLL"),
    "US-GA": ("LLLDDDD",),
    "US-IL": ("LLDDDDD",),
    "US-MD": ("DLLDDDD",),
    "US-MI": ("LLLDDDD", "DLLLDD"),
    "US-MN": ("LLLDDD",),
    "US-MO": ("LLDLDL",),
    "US-NC": ("LLLDDDD",),
    "US-NJ": ("LDDLLL",),
    "US-NY": ("LLLDDDD",),
    "US-OH": ("LLLDDDD",),
    "US-OR": ("DDDLLL",),
    "US-PA": ("LLLDDDD",),
    "US-TX": ("LLLDDDD",),
    "US-VA": ("LLLDDDD",),
    "US-WA": ("LLLDDDD",),
    "US-WI": ("LLLDDDD",),
}
"""Formats by country (ISO 3166-1 alpha-2), in the United States by state (ISO 3166-2)."""


class Fitted(NamedTuple):
    """A plate as the format of a country has it; ``country`` is None if it fits none."""

    text: str
    country: str | None
    corrections: int = 0


def fit_country(text: str, countries: Sequence[str]) -> Fitted:
    """Return the plate corrected to the format, of these countries, that needs least correction.

    At most two letters and digits of similar shape are exchanged: almost any text can be brought to
    some format with more. Of equal ones the first country's
    counts, in the given order. A text that fits no format is returned as it is. Raises KeyError for
    an unknown country.
    """
    fits = [
        Fitted(corrected, country, _differences(text, corrected))
        for country in countries
        for corrected in _corrected_to(text, FORMATS[country])
    ]
    fits = [fit for fit in fits if fit.corrections <= _MOST_CORRECTIONS]
    return min(fits, key=lambda fit: fit.corrections, default=Fitted(text, None))


def _corrected_to(text: str, formats: Iterable[str]) -> Iterator[str]:
    for pattern in formats:
        if len(pattern) == len(text):
            characters = [_at(c, wanted) for c, wanted in zip(text, pattern, strict=True)]
            if None not in characters:
                yield "".join(c for c in characters if c is not None)


def _at(character: str, wanted: str) -> str | None:
    """Return what a character must be at a position of a format; None if it cannot be there."""
    if wanted == _D:
        return character if _is_digit(character) else DIGIT_OF.get(character)
    if wanted == _L:
        return character if _is_letter(character) else LETTER_OF.get(character)
    return wanted if character == wanted or are_alike(character, wanted) else None


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"


def _is_letter(character: str) -> bool:
    return "A" <= character <= "Z"


def _differences(first: str, second: str) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))
