"""Translates the values of a table's columns into fields: amounts, times, words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from trinetra.events.currencies import DECIMALS
from trinetra.values import Instant

_DIGITS = 15
_MOST = Decimal(10) ** _DIGITS


class FieldFault(ValueError):
    """A value cannot be read; the message names its column and says what to mend."""


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Which column has which field, and how values are written.

    ``columns`` has one or more columns for each field, joined by a space. ``constants`` are the
    values of fields without a column. ``words`` translates values of a field; one that is not
    listed is refused. Times without an offset are of ``zone``.
    """

    columns: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    time_format: str | None = None
    zone: ZoneInfo | None = None

    def text(self, name: str, values: Mapping[str, object]) -> str | None:
        """Return a field as text, translated; None if it is empty or has no column."""
        if name not in self.columns:
            return self.constants.get(name)
        parts = [values.get(column) for column in self.columns[name]]
        joined = " ".join(str(part).strip() for part in parts if part is not None).strip()
        if not joined:
            return self.constants.get(name)
        if name not in self.words:
            return joined
        if joined not in self.words[name]:
            known = ", ".join(self.words[name])
            raise FieldFault(f"{name}: {joined!r} is not among the values of the mapping ({known})")
        return self.words[name][joined]

    def number(self, name: str, values: Mapping[str, object]) -> Decimal | None:
        """Return a number. Raises FieldFault for one that is written differently."""
        told = [values.get(column) for column in self.columns.get(name, ())]
        if len(told) == 1 and type(told[0]) in {int, float}:  # a number of JSON
            return _bounded(name, Decimal(str(told[0])))
        text = self.text(name, values)
        if text is None:
            return None
        if not re.fullmatch(self._number_pattern, text):
            raise FieldFault(
                f"{name}: {text!r} is not a number with the mapping's decimal {self.decimal!r} and "
                f"thousands {self.thousands!r}"
            )
        plain = text.replace(self.thousands, "") if self.thousands else text
        number = Decimal(plain.replace(self.decimal, "."))
        return _bounded(name, number)

    @property
    def _number_pattern(self) -> str:
        """Pattern of a number; thousands are separated in groups of three or not at all.

        Otherwise 12.50 would be read as 1250 where the decimal is a comma.
        """
        separator = re.escape(self.thousands)
        grouped = rf"|\d{{1,3}}(?:{separator}\d{{3}})+" if self.thousands else ""
        return rf"[+-]?(?:\d{{1,20}}{grouped})(?:{re.escape(self.decimal)}\d{{1,20}})?"

    def whole(self, name: str, values: Mapping[str, object]) -> int | None:
        """Return a whole number."""
        number = self.number(name, values)
        if number is None:
            return None
        if number != number.to_integral_value():
            raise FieldFault(f"{name}: {number} is not a whole number")
        return int(number)

    def minor(self, name: str, currency: str, values: Mapping[str, object]) -> int | None:
        """Return an amount in minor units of its currency."""
        amount = self.number(name, values)
        if amount is None:
            return None
        minor = amount.scaleb(DECIMALS.get(currency, 2))
        if minor != minor.to_integral_value():
            raise FieldFault(f"{name}: {amount} has more decimals than {currency} has")
        return int(minor)

    def instant(self, name: str, values: Mapping[str, object]) -> Instant | None:
        """Return an instant in UTC; an hour that the clock shows twice is the first of both."""
        text = self.text(name, values)
        if text is None:
            return None
        told = self._moment(name, text)
        if told.tzinfo is None:
            if self.zone is None:
                raise FieldFault(f"{name}: {text!r} has no offset from UTC; set timezone")
            told = told.replace(tzinfo=self.zone)
        try:
            instant = told.astimezone(UTC)
            is_there = instant.astimezone(told.tzinfo).replace(tzinfo=None) == told.replace(
                tzinfo=None
            )
        except OverflowError:
            raise FieldFault(f"{name}: {text!r} is not a time") from None
        if not is_there:
            raise FieldFault(f"{name}: {text} does not exist, the clock was set forward then")
        return instant

    def day(self, name: str, values: Mapping[str, object]) -> date | None:
        """Return a date."""
        text = self.text(name, values)
        return None if text is None else self._moment(name, text).date()

    def has_time_of_day(self, name: str, values: Mapping[str, object]) -> bool:
        """Return whether a field is a time and not only a date."""
        text = self.text(name, values) or ""
        written = self.time_format if self.time_format is not None else text
        return ":" in written or "%H" in written or "%I" in written

    def _moment(self, name: str, text: str) -> datetime:
        try:
            if self.time_format is not None:
                return datetime.strptime(text, self.time_format)  # noqa: DTZ007 - the zone follows
            return datetime.fromisoformat(text)
        except ValueError:
            wanted = self.time_format or "an ISO 8601 time like 2026-11-22T12:00:00Z"
            raise FieldFault(f"{name}: {text!r} is not written as {wanted}") from None


def _bounded(name: str, number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number) >= _MOST or number.adjusted() < -_DIGITS:
        raise FieldFault(f"{name}: {number} is not a number that can be meant")
    return number
