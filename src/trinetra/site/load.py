"""Loads a site file, or reports all of its problems at once, with line and column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trinetra.errors import ConfigurationError
from trinetra.redaction import mask_urls
from trinetra.site.alert_conflicts import alert_conflicts, missing_hours
from trinetra.site.conflicts import Conflict, find_conflicts
from trinetra.site.document import (
    START,
    Document,
    Fault,
    Loc,
    Unreadable,
    decode_text,
    read_document,
)
from trinetra.site.explain import explain
from trinetra.site.schema import Site
from trinetra.site.sources import StreamSource


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a site file; ``path`` is dotted, like ``cameras[0].role``."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {where}{self.message} ({self.hint})"


class SiteInvalid(ConfigurationError):
    """A site file is invalid; ``problems`` holds all of its problems."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def load_site(path: Path, environ: Mapping[str, str] | None = None) -> Site:
    """Return the site that a file describes.

    With ``environ``, the environment variables of the cameras' credentials must be set, and no
    address may be a placeholder. Raises SiteInvalid with all problems.
    """
    try:
        payload = path.read_bytes()
    except OSError as cause:
        reason = (cause.strerror or "unreadable").lower()
        hint = "`trinetra init` writes an example" if not path.exists() else "check the path"
        raise _invalid(path, [Fault(START, f"cannot be read: {reason}", hint)]) from None
    try:
        text = decode_text(payload)
    except Unreadable as cause:
        raise _invalid(path, [cause.fault]) from None
    return site_from_text(text, path=path, environ=environ)


def site_from_text(
    text: str, *, path: Path = Path("site.yaml"), environ: Mapping[str, str] | None = None
) -> Site:
    """Return the site that a text describes; ``path`` is its name and the root of its paths.

    Raises SiteInvalid with all problems.
    """
    try:
        document = read_document(text)
    except Unreadable as cause:
        raise _invalid(path, [cause.fault]) from None
    if not isinstance(document.data, dict):
        what = "the file is empty" if document.data is None else "not a mapping of keys to values"
        hint = "`trinetra init` writes an example to start from"
        raise _invalid(path, [Fault(START, what, hint), *document.faults])
    site, faults = _validate(document, path)
    if site is None or faults:
        raise _invalid(path, faults)
    if environ is not None and (unusable := list(_unusable_sources(site, document, environ))):
        raise _invalid(path, unusable)
    return site


def refusal(path: Path, conflicts: Sequence[Conflict]) -> SiteInvalid:
    """Return contradictions that were found after loading, each at its place in the file.

    Raises SiteInvalid if the file cannot be read again.
    """
    try:
        document = read_document(decode_text(path.read_bytes()))
    except (OSError, Unreadable) as cause:
        raise _invalid(path, [Fault(START, f"cannot be read again: {cause}", "retry")]) from cause
    return _invalid(path, [_fault_at(conflict, document) for conflict in conflicts])


def _fault_at(conflict: Conflict, document: Document) -> Fault:
    place = document.place_of_value(conflict.loc)
    return Fault(place, conflict.message, conflict.hint, conflict.loc)


def _validate(document: Document, path: Path) -> tuple[Site | None, list[Fault]]:
    faults = list(document.faults)
    conflicts = [
        *find_conflicts(document.data),
        *alert_conflicts(document.data),
        *missing_hours(document.data),
    ]
    faults += [_fault_at(conflict, document) for conflict in conflicts]
    try:
        site = Site.model_validate(document.data, context={"folder": path.parent})
    except ValidationError as cause:
        errors = cause.errors(include_url=False)
        return None, [*faults, *(f for e in errors for f in _faults_of(e, document))]
    return site, faults


_REPORTED_ELSEWHERE = frozenset({"conflict", "default_factory_not_called"})


def _faults_of(error: ErrorDetails, document: Document) -> Iterator[Fault]:
    if error["type"] == "contradictions":
        for found in error["ctx"]["found"]:
            yield _fault_at(found, document)
    elif fault := _fault_of(error, document):
        yield fault


def _fault_of(error: ErrorDetails, document: Document) -> Fault | None:
    loc = _in_file(error["loc"])
    if error["type"] in _REPORTED_ELSEWHERE or _only_has_bad_entries(error):
        return None
    if any(fault.loc == loc for fault in document.faults):
        return None
    on_key = error["type"] == "extra_forbidden"
    place = document.place_of_key(loc) if on_key else document.place_of_value(loc)
    return Fault(place, *explain(error, loc), loc)


def _only_has_bad_entries(error: ErrorDetails) -> bool:
    """Return whether a list counts as too short only because some entries were rejected."""
    ctx = error.get("ctx", {})
    return error["type"] == "too_short" and len(error["input"]) >= ctx["min_length"]


def _in_file(loc: Loc) -> Loc:
    """Drop the step that Pydantic inserts for the chosen kind of a source or a channel."""
    is_chosen = loc[2:3] == ("source",) or loc[:2] == ("alerts", "channels")
    return (*loc[:3], *loc[4:]) if is_chosen else loc


def _unusable_sources(
    site: Site, document: Document, environ: Mapping[str, str]
) -> Iterator[Fault]:
    for index, camera in enumerate(site.cameras):
        if not isinstance(camera.source, StreamSource):
            continue
        loc: Loc = ("cameras", index, "source")
        place = document.place_of_value(loc)
        for name in camera.source.unset_variables(environ):
            hint = "export it before you start, or remove the key"
            yield Fault(place, f"the environment variable {name} is not set", hint, loc)
        if camera.source.is_placeholder:
            address: Loc = (*loc, "url")
            hint = f"write the address of camera {camera.id}, or remove the camera"
            message = "this address is a placeholder, not a camera"
            yield Fault(document.place_of_value(address), message, hint, address)


def _invalid(path: Path, faults: list[Fault]) -> SiteInvalid:
    return SiteInvalid(
        [
            Problem(
                str(path),
                fault.place.line,
                fault.place.column,
                _dotted(fault.loc),
                mask_urls(fault.message),
                mask_urls(fault.hint),
            )
            for fault in sorted(faults, key=lambda fault: fault.place)
        ]
    )


def _dotted(loc: Loc) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return mask_urls("".join(steps).removeprefix("."))
