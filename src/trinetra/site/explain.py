"""Translates Pydantic's errors into messages for authors of site files.

Values are never repeated: one of them could be a password in the wrong place.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic_core import ErrorDetails

from trinetra.site.document import Loc
from trinetra.site.editor import json_schema
from trinetra.site.schema import timezones
from trinetra.site.sources import URL_SCHEMES

Explanation = tuple[str, str]
_SECRET_KEYS = ("password", "passwd", "pass", "pwd", "user", "username", "credentials", "token")
_TIMES_OF_DAY = ("opens", "closes")
_ENV_HINT = "put it into an environment variable and give that variable's name"
_MESSAGES: Mapping[str, str] = {
    "missing": "this key is missing",
    "string_type": "should be text",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "bool_type": "should be true or false",
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "tuple_type": "should be a list",
    "frozen_set_type": "should be a list",
    "path_type": "should be a path",
    "finite_number": "should be a finite number",
    "string_pattern_mismatch": "not a valid name",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
}
_HINTS: Mapping[str, str] = {
    "string_type": "put quotes around the value if it is text",
    "bool_type": "write true or false, without quotes",
    "float_type": "write a number without quotes or units",
    "int_type": "write a whole number without quotes or units",
    "timezone": "a place like Europe/Berlin or Asia/Kolkata, which tells when summer time begins",
    "credentials": "give both variables, or neither",
    "line": "move one of the two points",
    "floor": "spread the points over the visible floor, no three on one line, and measure them",
    "key_frames": "remove this key, so that every frame is decoded",
    "transport": "remove the key, or use an rtsp:// address",
    "rates": "fps_floor <= fps <= fps_ceiling",
    "channel": "like `webhook: https://hooks.shop.com/alerts`, `apprise_env: MAIL_URL` or "
    "`mqtt: mqtt://192.168.1.4`",
    "channel_url": "write the whole address",
    "source": "like `source: {url: rtsp://192.168.1.20:554/stream1}`",
}
_FIXED_HINTS: Mapping[str, str] = {
    "the last corner repeats the first one": "remove the last corner: polygons close automatically",
    "two corners are the same point": "remove one of them",
    "the polygon's edges cross or touch each other": "list the corners in order around the area",
    "the polygon encloses no area": "move the corners apart",
    "the address must not contain credentials": (
        "put them into environment variables and give their names: "
        "username_env: CAMERA_USER, password_env: CAMERA_PASSWORD"
    ),
    "not a valid address": "like rtsp://192.168.1.20:554/stream1",
}


_LEAST_PIXEL = 2
_PIXELS = (
    "points are shares of the picture, from 0 to 1, not pixels",
    "divide x by the picture's width and y by its height: [960, 270] of 1920x1080 is [0.5, 0.25]",
)


def explain(error: ErrorDetails, loc: Loc) -> Explanation:
    """Return what is wrong at ``loc`` and how to fix it."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind in {"enum", "literal_error"}:
        return _not_one_of(error, loc)
    if kind == "missing" and isinstance(loc[-1], int):
        return "an entry is missing", _expected(loc[:-1])
    if error["input"] is None:
        return "this key has no value", _missing_hint(loc)
    if (particular := _of_meaning(error, loc)) is not None:
        return particular
    message = _MESSAGES.get(kind) or error["msg"].removeprefix("Input ")
    return message, _hint(error, loc)


def _hint(error: ErrorDetails, loc: Loc) -> str:
    kind, value = error["type"], error["input"]
    if kind == "timezone":
        return _timezone_hint(value)
    if kind == "url" and (guess := _scheme_guess(error)):
        return guess
    if kind == "string_pattern_mismatch":
        return _pattern_hint(loc)
    if kind == "missing":
        return _missing_hint(loc)
    return _FIXED_HINTS.get(error["msg"]) or _HINTS.get(kind) or _expected(loc)


def _of_meaning(error: ErrorDetails, loc: Loc) -> Explanation | None:
    """Return an explanation that depends on what the value stands for, if there is one."""
    kind = error["type"]
    if kind == "string_pattern_mismatch" and loc[-1] in _TIMES_OF_DAY:
        return "not a time of day", "write HH:MM in quotes, 00:00 to 23:59, or 24:00"
    if kind == "less_than_equal" and error["input"] >= _LEAST_PIXEL and _is_picture_coordinate(loc):
        return _PIXELS
    return None


def _is_picture_coordinate(loc: Loc) -> bool:
    """Return whether a number is a coordinate in the picture: of a zone, a line or the floor."""
    is_of_floor = loc[2:3] == ("floor",) and loc[4:5] == (0,)
    return loc[:1] == ("cameras",) and (is_of_floor or bool({"polygon", "a", "b"} & set(loc)))


def _unknown_key(loc: Loc) -> Explanation:
    key, known = str(loc[-1]), sorted(_node(loc[:-1]).get("properties", {}))
    if f"{key}_env" in known or (key.lower() in _SECRET_KEYS and "password_env" in known):
        return f"unknown key {key}", f"{_ENV_HINT}: username_env, password_env"
    return f"unknown key {key}", _closest(key, known) or f"known keys: {', '.join(known)}"


def _not_one_of(error: ErrorDetails, loc: Loc) -> Explanation:
    node = _resolved(_node(loc))
    allowed = [str(value) for value in node.get("enum", [])]
    message = f"not one of {', '.join(allowed)}"
    return message, _closest(error["input"], allowed) or "choose one of these"


def _closest(value: object, known: Iterable[str]) -> str | None:
    if not isinstance(value, str):
        return None
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(value.lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else None


def _timezone_hint(value: object) -> str:
    # Of abbreviations, the nearest is another zone: EST, of North America, for CEST.
    is_abbreviation = isinstance(value, str) and value.isupper() and "/" not in value
    guess = None if is_abbreviation else _closest(value, timezones())
    return guess or _HINTS["timezone"]


def _scheme_guess(error: ErrorDetails) -> str | None:
    scheme = str(error["input"]).partition("://")[0]
    return _closest(scheme, URL_SCHEMES) if "must start" in error["msg"] else None


def _pattern_hint(loc: Loc) -> str:
    if str(loc[-1]).endswith("_env"):
        return "the NAME of an environment variable, in capitals, like TILL_PASSWORD"
    return "small letters, digits, - and _, at most 63, like till-2"


def _missing_hint(loc: Loc) -> str:
    node = _resolved(_node(loc))
    if example := node.get("examples"):
        return f"like `{loc[-1]}: {example[0]}`"
    if allowed := node.get("enum"):
        return f"one of {', '.join(allowed)}"
    return str(node.get("description") or f"add {loc[-1]}").split("\n", maxsplit=1)[0]


_LIMITS = (
    ("exclusiveMinimum", "more than"),
    ("minimum", "at least"),
    ("exclusiveMaximum", "less than"),
    ("maximum", "at most"),
    ("multipleOf", "a multiple of"),
    ("minItems", "at least"),
    ("maxItems", "at most"),
)


def _expected(loc: Loc) -> str:
    """Return the limits that the schema sets at ``loc``, or its description."""
    node = _resolved(_node(loc))
    limits = [f"{words} {node[key]:g}" for key, words in _LIMITS if key in node]
    if "minItems" in node or "maxItems" in node:
        limits[-1] += " entries"
    return ", ".join(limits) or str(node.get("description") or "see `trinetra init`").split("\n")[0]


@cache
def _root() -> dict[str, Any]:
    return json_schema()


def _node(loc: Loc) -> dict[str, Any]:
    """Return the part of the JSON Schema that describes the value at ``loc``."""
    node = _root()
    for step in loc:
        node = _child(_resolved(node), step)
    return _resolved(node)


def _child(node: dict[str, Any], step: str | int) -> dict[str, Any]:
    if isinstance(step, int):
        items: list[dict[str, Any]] = node.get("prefixItems", [])
        found = items[step] if step < len(items) else node.get("items", {})
    else:
        found = node.get("properties", {}).get(step, {})
    return found if isinstance(found, dict) else {}


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow references and choose the non-null branch; the kinds of sources become one mapping."""
    if reference := node.get("$ref"):
        target: dict[str, Any] = _root()["$defs"][reference.rsplit("/", 1)[-1]]
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    branches = [_resolved(b) for b in node.get("anyOf", node.get("oneOf", []))]
    branches = [branch for branch in branches if branch.get("type") != "null"]
    if len(branches) == 1:
        return {**branches[0], **{k: v for k, v in node.items() if k not in {"anyOf", "oneOf"}}}
    if branches:
        return {"properties": {k: v for b in branches for k, v in b.get("properties", {}).items()}}
    return node
