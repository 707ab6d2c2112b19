"""Contradictions between the alerts of a site file and its cameras, zones, lines and channels.

As in ``conflicts.py``, the plain document is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from trinetra.site.conflicts import Conflict, Loc


def alert_conflicts(document: object) -> list[Conflict]:
    """Return the contradictions of the section ``alerts``."""
    alerts = document.get("alerts") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(alerts, Mapping):
        return []
    return [
        *_of_channels(alerts),
        *_of_places(document, alerts),
    ]


def missing_hours(document: object) -> list[Conflict]:
    """Return that a rule about closed hours was written without opening hours."""
    alerts = document.get("alerts") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(alerts, Mapping):
        return []
    return list(_of_hours(document, alerts))


def _entries(parent: object, key: str) -> list[tuple[int, object]]:
    value = parent.get(key) if isinstance(parent, Mapping) else None
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return list(enumerate(value)) if is_list and isinstance(value, Sequence) else []


def _ids(parent: object, key: str) -> list[tuple[int, str]]:
    return [
        (index, name)
        for index, each in _entries(parent, key)
        if isinstance(each, Mapping) and isinstance(name := each.get("id"), str)
    ]


def _of_channels(alerts: Mapping[str, object]) -> Iterator[Conflict]:
    for kind, word in (("channels", "channel"), ("recipients", "recipient")):
        seen: set[str] = set()
        for index, name in _ids(alerts, kind):
            if name in seen:
                loc: Loc = ("alerts", kind, index, "id")
                yield Conflict(loc, f"another {word} has this id", "ids are unique")
            seen.add(name)
    known = [name for _, name in _ids(alerts, "channels")]
    used: set[str] = set()
    for index, recipient in _entries(alerts, "recipients"):
        for place, used_name in _entries(recipient, "channels"):
            at = ("alerts", "recipients", index, "channels", place)
            if isinstance(used_name, str) and used_name not in known:
                yield _unknown("channel", used_name, known, at)
            used.add(str(used_name))
    for index, name in _ids(alerts, "channels"):
        if name not in used:
            yield Conflict(
                ("alerts", "channels", index, "id"),
                "no recipient uses this channel",
                f"add a recipient, like `recipients: [{{id: {name}, channels: [{name}]}}]`",
            )


def _of_places(document: Mapping[str, object], alerts: Mapping[str, object]) -> Iterator[Conflict]:
    rules = alerts.get("rules")
    places = {"zone": _places(document, "zones"), "line": _places(document, "lines")}
    for rule, key, word, inner in (
        ("loitering", "zones", "zone", None),
        ("occupancy", "zones", "zone", "zone"),
        ("tailgating", "lines", "line", None),
        ("wrong_direction", "lines", "line", "line"),
    ):
        of_rule = rules.get(rule) if isinstance(rules, Mapping) else None
        for index, entry in _entries(of_rule, key):
            loc: Loc = ("alerts", "rules", rule, key, index)
            pair = entry.get(inner) if inner and isinstance(entry, Mapping) else entry
            if inner:
                loc = (*loc, inner)
            if isinstance(pair, list | tuple) and all(isinstance(each, str) for each in pair):
                name = "/".join(pair)
                if len(pair) == 2 and name not in places[word]:  # noqa: PLR2004 - a pair
                    yield _unknown(word, name, places[word], loc)


def _places(document: Mapping[str, object], kind: str) -> list[str]:
    return [
        f"{camera.get('id')}/{name}"
        for _, camera in _entries(document, "cameras")
        if isinstance(camera, Mapping)
        for _, name in _ids(camera, kind)
    ]


def _of_hours(document: Mapping[str, object], alerts: Mapping[str, object]) -> Iterator[Conflict]:
    rules = alerts.get("rules")
    rule = rules.get("after_hours") if isinstance(rules, Mapping) else None
    if (
        isinstance(rule, Mapping)
        and rule.get("enabled", True)
        and not document.get("opening_hours")
    ):
        yield Conflict(
            ("alerts", "rules", "after_hours"),
            "without opening_hours the shop counts as always open",
            "write opening_hours, or remove the rule",
        )


def _unknown(word: str, name: str, known: Sequence[str], loc: Loc) -> Conflict:
    close = get_close_matches(name, known, n=1)
    listed = f"{word}s: {', '.join(known)}" if known else f"there is no {word} yet"
    return Conflict(loc, f"no {word} has this id", f"did you mean {close[0]}?" if close else listed)
