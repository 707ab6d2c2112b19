"""Applies changed policies to a site, to evaluate their effect."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from trinetra.errors import ConfigurationError
from trinetra.site.document import Unreadable, read_document
from trinetra.site.explain import explain
from trinetra.site.policies import Policies
from trinetra.site.schema import Site
from trinetra.site.topology import Topology

_POLICIES = "policies."
"""May be left out of a path."""
_Path = tuple[str, ...]


def settable() -> list[str]:
    """Return the full paths of all scalar values of policies and topology."""
    policies = (("policies", *path) for path in _leaves(Policies()))
    topology = (("topology", *path) for path in _leaves(Topology()))
    return [".".join(path) for path in (*policies, *topology)]


def with_overrides(site: Site, assignments: Iterable[str]) -> Site:
    """Return the site with ``key=value`` assignments applied in order and validated.

    Values that the site file leaves out stay defaults, also if a default depends on another value.
    Raises ConfigurationError with all faults and with suggestions.
    """
    document = site.model_dump(mode="python", by_alias=True, exclude_unset=True)
    faults, given = [], {}
    for assignment in assignments:
        try:
            path, value = _parse(assignment)
        except ConfigurationError as fault:
            faults.append(str(fault))
        else:
            _put(document, path, value)
            given[path] = assignment
    if faults:
        raise ConfigurationError("\n".join(faults))
    try:
        return Site.model_validate(document)
    except ValidationError as cause:
        raise ConfigurationError("\n".join(_messages(cause, given))) from None


def _parse(assignment: str) -> tuple[_Path, Any]:
    key, equals, text = (part.strip() for part in assignment.partition("="))
    if not equals or not text:
        raise ConfigurationError(f"--set {assignment}: write KEY=VALUE, like matching.margin=0.05")
    names = settable()
    full = next((each for each in (key, _POLICIES + key) if each in names), None)
    if full is None:
        raise ConfigurationError(f"--set {assignment}: unknown key{_meant(key, names)}")
    try:
        value = read_document(f"value: {text}").data["value"]
    except Unreadable as cause:
        raise ConfigurationError(f"--set {assignment}: {cause.fault.message}") from None
    return tuple(full.split(".")), value


def _meant(key: str, names: list[str]) -> str:
    known = [*names, *(name.removeprefix(_POLICIES) for name in names)]
    if close := get_close_matches(key, known, n=3, cutoff=0.5):
        return f" (did you mean {' or '.join(close)}?)"
    return f" (known: {', '.join(name.removeprefix(_POLICIES) for name in names)})"


def _put(document: dict[str, Any], path: _Path, value: Any) -> None:
    for step in path[:-1]:
        document = document.setdefault(step, {})
    document[path[-1]] = value


def _messages(cause: ValidationError, given: Mapping[_Path, str]) -> Iterable[str]:
    """Yield the errors, each with the assignments that caused it."""
    for error in cause.errors(include_url=False):
        if error["type"] == "default_factory_not_called":
            continue  # caused by another value whose error is reported
        loc = tuple(str(step) for step in error["loc"])
        about = [text for path, text in given.items() if path[: len(loc)] == loc]
        if error["type"] == "contradictions":
            yield f"--set {' '.join(given.values())}: {error['msg']}"
            continue
        message, hint = explain(error, error["loc"])
        yield f"--set {' '.join(about) or ' '.join(given.values())}: {message} ({hint})"


def _leaves(model: BaseModel) -> Iterable[_Path]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from ((name, *rest) for rest in _leaves(value))
        elif value is None or isinstance(value, (str, int, float)):
            yield (name,)
