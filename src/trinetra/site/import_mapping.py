"""The mapping file of an import: how a table of another system is written."""

import codecs
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from trinetra.errors import ConfigurationError
from trinetra.site.document import Unreadable, decode_text, read_document
from trinetra.site.fields import Model

Text = Annotated[str, Field(min_length=1, max_length=200)]
Columns = Annotated[tuple[Text, ...], Field(min_length=1, max_length=5)]


class ImportMapping(Model):
    """Format of a table, and the columns that have the fields."""

    format: Literal["csv", "jsonl"] = "csv"
    encoding: Text = "utf-8-sig"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    time_format: Text | None = None
    timezone: Text | None = None
    columns: dict[str, Columns]
    constants: dict[str, Text] = Field(default_factory=dict)
    words: dict[str, dict[str, Text]] = Field(default_factory=dict)
    negative: Literal["refuse", "refund"] = "refuse"

    @field_validator("columns", mode="before")
    @classmethod
    def _one_or_more(cls, columns: object) -> object:
        if not isinstance(columns, dict):
            return columns
        return {name: (c,) if isinstance(c, str) else c for name, c in columns.items()}

    @field_validator("constants", mode="before")
    @classmethod
    def _as_text(cls, constants: object) -> object:
        """YAML reads 1 as a number; here everything is text, as in the table."""
        if not isinstance(constants, dict):
            return constants
        return {name: str(value) for name, value in constants.items()}

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            text = codecs.decode(b"a,1", encoding)
        except (LookupError, ValueError, TypeError):
            text = None
        if text != "a,1":
            raise PydanticCustomError(
                "encoding", "not an encoding of text that contains ASCII, like cp1252 or utf-8"
            )
        return encoding

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str | None) -> str | None:
        if name is not None and name not in available_timezones():
            raise PydanticCustomError("timezone", "not an IANA time zone, like Europe/Berlin")
        return name


def load_mapping(path: Path, fields: Collection[str]) -> ImportMapping:
    """Return the mapping in a file; ``fields`` are those that may be mapped.

    Raises ConfigurationError with file, line and what to change.
    """
    try:
        document = read_document(decode_text(path.read_bytes()))
    except OSError as cause:
        reason = (cause.strerror or "unreadable").lower()
        raise ConfigurationError(f"{path} cannot be read: {reason}") from None
    except Unreadable as cause:
        fault = cause.fault
        raise ConfigurationError(
            f"{path}:{fault.place.line}: {fault.message} ({fault.hint})"
        ) from None
    try:
        mapping = ImportMapping.model_validate(document.data)
    except ValidationError as cause:
        faults = [
            f"{path}:{document.place_of_value(e['loc']).line}: "
            f"{'.'.join(map(str, e['loc'])) or 'mapping'}: {e['msg']}"
            for e in cause.errors(include_url=False)
        ]
        raise ConfigurationError("\n".join(faults)) from None
    named = {*mapping.columns, *mapping.constants, *mapping.words}
    if unknown := sorted(named - set(fields)):
        line = document.place_of_key(("columns", unknown[0])).line
        raise ConfigurationError(
            f"{path}:{line}: there is no field {unknown[0]}; there are {', '.join(sorted(fields))}"
        )
    return mapping
