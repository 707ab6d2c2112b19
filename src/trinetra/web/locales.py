"""Languages: translations of one gettext catalog, and numbers, dates and spans as each writes them.

Catalogs are ``locale/LANGUAGE/LC_MESSAGES/trinetra.po``; ``scripts/update-catalog`` adds messages
to them and finds those that lack a translation.
"""

import gettext
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources
from io import BytesIO
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers
from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fastapi import Request

from trinetra.web.access import Principal

LANGUAGES: Mapping[str, str] = {"en": "English", "hi": "हिन्दी"}
_UNKNOWN = "–"
_MINUTE_S = 60


def message(text: str) -> str:
    """Return a message as it is; marks it for the catalog where it is not yet translated."""
    return text


@dataclass(frozen=True)
class Words:
    """A language: its translations, and how it writes numbers and times."""

    locale: Locale
    translations: gettext.NullTranslations

    @property
    def language(self) -> str:
        """Language tag, for the page's ``lang``."""
        return self.locale.language

    def text(self, told: str) -> str:
        """Return the translation of a message that is marked elsewhere by ``message``."""
        return self.translations.gettext(told)

    def number(self, value: float | None, digits: int = 0) -> str:
        """Return a number; a dash if it is unknown."""
        if value is None:
            return _UNKNOWN
        return numbers.format_decimal(value, self._pattern(digits), locale=self.locale)

    def percent(self, share: float | None, digits: int = 0) -> str:
        """Return a share in 0..1 as per cent; a dash if it is unknown."""
        if share is None:
            return _UNKNOWN
        return numbers.format_percent(share, self._pattern(digits) + "%", locale=self.locale)

    def seconds(self, value: float | None) -> str:
        """Return a length of time as minutes and seconds; a dash if it is unknown."""
        if value is None:
            return _UNKNOWN
        minutes, seconds = divmod(round(value), _MINUTE_S)
        return f"{minutes}:{seconds:02d}"

    def span(self, value: float | None, digits: int = 1) -> str:
        """Return a length of time as seconds with their unit; a dash if it is unknown."""
        if value is None:
            return _UNKNOWN
        return self.translations.gettext("%(value)s s") % {"value": self.number(value, digits)}

    def meters(self, value: float | None, digits: int = 1) -> str:
        """Return a length; a dash if it is unknown."""
        if value is None:
            return _UNKNOWN
        return self.translations.gettext("%(value)s m") % {"value": self.number(value, digits)}

    def value(self, value: float | None, unit: str, currency: str | None = None) -> str:
        """Return a figure's value in its unit; an amount of money with its currency, if known."""
        match unit:
            case "share":
                return self.percent(value, 1)
            case "s":
                return self.seconds(value)
            case "money":
                return self._money(value, currency)
            case "people":
                return self.number(value, 1)
        return self.number(value)

    def _money(self, value: float | None, currency: str | None) -> str:
        if value is None or currency is None:
            return self.number(value, 2)
        return numbers.format_currency(value, currency, locale=self.locale)

    def time(self, instant: datetime, zone: str) -> str:
        """Return a time of day by the shop's clock."""
        return dates.format_time(instant, "HH:mm", tzinfo=ZoneInfo(zone), locale=self.locale)

    def day(self, day: date) -> str:
        """Return a date."""
        return dates.format_skeleton("yMMMEd", day, locale=self.locale)

    def short_day(self, day: date) -> str:
        """Return a date without its year."""
        return dates.format_skeleton("MMMEd", day, locale=self.locale)

    def month(self, day: date) -> str:
        """Return the month of a date."""
        return dates.format_skeleton("yMMMM", day, locale=self.locale)

    def date(self, instant: datetime, zone: str) -> str:
        """Return a date by the shop's clock."""
        return dates.format_skeleton("yMMMEd", instant, tzinfo=ZoneInfo(zone), locale=self.locale)

    def moment(self, instant: datetime, zone: str) -> str:
        """Return a date and a time by the shop's clock."""
        return f"{self.date(instant, zone)}, {self.time(instant, zone)}"

    def _pattern(self, digits: int) -> str:
        """Return the pattern of numbers, which groups digits as the language does."""
        whole = str(self.locale.decimal_formats[None].pattern).partition(".")[0]
        return f"{whole}.{'0' * digits}" if digits else whole


def words_for(request: Request, caller: Principal | None) -> Words:
    """Return the language of a request: the user's own, or the best of those the browser asks."""
    chosen = request.cookies.get("trinetra_language") or (caller.locale if caller else None)
    if chosen in LANGUAGES:
        return words(chosen)
    asked = [
        part.partition(";")[0].strip()
        for part in request.headers.get("accept-language", "").split(",")
    ]
    return words(negotiate_locale(asked, list(LANGUAGES), sep="-") or "en")


@cache
def words(language: str) -> Words:
    """Return a language."""
    return Words(Locale.parse(language), _translations(language))


def _translations(language: str) -> gettext.NullTranslations:
    folder = resources.files("trinetra.web") / "locale" / language / "LC_MESSAGES"
    source = folder / "trinetra.po"
    if not source.is_file():  # English is what the messages are written in
        return gettext.NullTranslations()
    compiled = BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
