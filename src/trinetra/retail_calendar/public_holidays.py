"""Public holidays by country and subdivision, from the ``holidays`` package."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache

import holidays

from trinetra.errors import ConfigurationError


@cache
def countries() -> Mapping[str, tuple[str, ...]]:
    """Return the known countries (ISO 3166-1) with their subdivisions."""
    return {
        code: tuple(subdivisions)
        for code, subdivisions in holidays.list_supported_countries(include_aliases=False).items()
    }


def public_holidays(country: str, subdivision: str | None, years: Iterable[int]) -> dict[date, str]:
    """Return the public holidays of some years, in the country's own language.

    Raises ConfigurationError for an unknown country or subdivision.
    """
    if country not in countries():
        raise ConfigurationError(
            f"calendar.country {country}: no holidays are known; write two capitals, like DE"
        )
    if subdivision is not None and subdivision not in countries()[country]:
        known = ", ".join(countries()[country]) or "none"
        raise ConfigurationError(
            f"calendar.subdivision {subdivision}: {country} has no such subdivision with holidays "
            f"of its own; known are {known}"
        )
    # Without a language the names would follow the locale of the machine.
    own = holidays.country_holidays(country, subdiv=subdivision).default_language
    found = holidays.country_holidays(
        country, subdiv=subdivision, years=sorted(set(years)), language=own
    )
    return dict(sorted(found.items()))
