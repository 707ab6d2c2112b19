"""Reads the counts that a person took while watching a clip."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trinetra.errors import ConfigurationError
from trinetra.evaluation.clip import Counts, LineCounts, ZoneCounts
from trinetra.site.document import Document, Loc, Unreadable, decode_text, read_document

_Kind = TypeVar("_Kind")


def read_counts(path: Path) -> Counts:
    """Return the counts in a YAML file; raises ConfigurationError with file, line and column."""
    try:
        document = read_document(decode_text(path.read_bytes()))
    except OSError as cause:
        raise ConfigurationError(f"{path} cannot be read: {cause.strerror}") from cause
    except Unreadable as cause:
        fault = cause.fault
        place = f"{fault.place.line}:{fault.place.column}"
        raise ConfigurationError(f"{path}:{place}: {fault.message} ({fault.hint})") from cause
    if document.faults:
        fault = document.faults[0]
        place = f"{fault.place.line}:{fault.place.column}"
        raise ConfigurationError(f"{path}:{place}: {fault.message} ({fault.hint})")
    _check_entries(document, path)
    return _converted(document, path, (), Counts)


def counts_of(plain: Mapping[str, Any]) -> Counts:
    """Return counts that are given as plain values. Raises ConfigurationError."""
    try:
        return msgspec.convert(plain, Counts)
    except msgspec.ValidationError as cause:
        raise ConfigurationError(f"the counts cannot be read: {cause}") from cause


def _check_entries(document: Document, path: Path) -> None:
    """Check each line and zone by itself, because msgspec's errors do not name them."""
    data = document.data if isinstance(document.data, dict) else {}
    for section, kind in (("lines", LineCounts), ("zones", ZoneCounts)):
        entries = data.get(section)
        for name in entries if isinstance(entries, dict) else {}:
            _converted(document, path, (section, name), kind)


def _converted(document: Document, path: Path, loc: Loc, kind: type[_Kind]) -> _Kind:
    value = document.data
    for step in loc:
        value = value[step]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as cause:
        what, _, where = str(cause).partition(" - at `$")
        steps = re.findall(r"[^.\[\]`]+", where)
        inner = tuple(int(step) if step.isdigit() else step for step in steps)
        place = document.place_of_value((*loc, *inner))
        raise ConfigurationError(f"{path}:{place.line}:{place.column}: {what}") from cause
