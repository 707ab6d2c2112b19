"""Parses YAML to plain data, recording the line and column of every value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Loc = tuple[str | int, ...]
MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_MAX_TABS = 100
_MAX_VALUES = 100_000


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column, both counted from 1."""

    line: int
    column: int


START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem at one place of the text."""

    place: Place
    message: str
    hint: str
    loc: Loc = ()


class Unreadable(Exception):
    """The text is not a YAML document; ``fault`` tells why and where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(slots=True)
class Document:
    """Plain data, the places of its values and keys, and non-fatal faults."""

    data: Any = None
    values: dict[Loc, Place] = field(default_factory=dict)
    keys: dict[Loc, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place_of_value(self, loc: Loc) -> Place:
        """Return the place of the value, or of the nearest enclosing value."""
        while loc and loc not in self.values:
            loc = loc[:-1]
        return self.values.get(loc, START)

    def place_of_key(self, loc: Loc) -> Place:
        """Return the place of the key, or of the enclosing value."""
        return self.keys.get(loc) or self.place_of_value(loc)


def decode_text(payload: bytes) -> str:
    """Return UTF-8 bytes as text. Raises Unreadable with the place of the first invalid byte."""
    if len(payload) > MAX_BYTES:
        raise Unreadable(Fault(START, f"larger than {MAX_BYTES:,} bytes", "is it a site file?"))
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        good = payload[: cause.start].decode("utf-8-sig", "replace")
        raise Unreadable(
            Fault(_end_of(good), "not UTF-8 text", "save the file as UTF-8")
        ) from cause


def _end_of(text: str) -> Place:
    line, last = text.count("\n") + 1, text.rsplit("\n", 1)[-1]
    return Place(line, len(last) + 1)


def read_document(text: str) -> Document:
    """Return the single YAML document in ``text``. Raises Unreadable if there is none."""
    root = compose(text)
    document = Document()
    if root is not None:
        document.data = _Builder(document).build(root, ())
    return document


def compose(text: str) -> Node | None:
    """Return the root of the single YAML document in ``text``, with the places of all nodes.

    Raises Unreadable if there is none.
    """
    try:
        return _composed(text)
    except ReaderError as cause:
        place = _end_of(text[: cause.position])
        raise Unreadable(
            Fault(place, "a control character", "remove it, or retype the line")
        ) from cause
    except MarkedYAMLError as cause:
        raise Unreadable(_syntax_fault(cause)) from cause
    except YAMLError as cause:
        raise Unreadable(Fault(START, "not a YAML document", "see `trinetra init`")) from cause


def _composed(text: str) -> Node | None:
    """Return the root of a YAML document.

    ruamel refuses tabs that YAML 1.2 (6.2) allows between a value and a comment, around a value and
    on an empty line; they are replaced by spaces, which keeps the columns of all messages.
    """
    for _ in range(_MAX_TABS):
        try:
            _refuse_depth(text)
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as cause:
            spaced = _with_space(text, cause)
            if spaced is None:
                raise
            text = spaced
        else:
            return root
    raise Unreadable(Fault(START, "too many tabs", "replace tabs by spaces"))


def _with_space(text: str, error: MarkedYAMLError) -> str | None:
    """Return the text with the tab that an error is about replaced; None if it is indentation."""
    mark = error.problem_mark
    if mark is None or "\\t" not in str(error.problem):
        return None
    lines = text.splitlines(keepends=True)
    line, at = lines[mark.line], mark.column
    before, tab, after = line[:at], line[at], line[at + 1 :]
    is_blank = not after.strip() or after.lstrip().startswith("#")
    if tab != "\t" or not (before.strip(" -") or is_blank):
        return None
    lines[mark.line] = f"{before} {after}"
    return "".join(lines)


def _refuse_depth(text: str) -> None:
    """Refuse deep nesting before any recursive code sees it."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        name = type(event).__name__
        depth += name.endswith(("MappingStartEvent", "SequenceStartEvent"))
        depth -= name.endswith(("MappingEndEvent", "SequenceEndEvent"))
        if depth > _MAX_DEPTH:
            mark = event.start_mark
            raise Unreadable(
                Fault(Place(mark.line + 1, mark.column + 1), "nested too deeply", _DEPTH_HINT)
            )


_DEPTH_HINT = f"a site file nests at most {_MAX_DEPTH} levels: look for stray brackets or dashes"
# The parser's messages quote the text, which may be a password: only our own messages are shown.
_SYNTAX: Mapping[str, tuple[str, str]] = {
    "\\t": ("there is a tab here", "indent with spaces, not with tabs"),
    "undefined alias": ("undefined anchor", "put quotes around a value that starts with *"),
    "cannot start any token": (
        "a value cannot start with this character",
        "put quotes around the value",
    ),
    "another document": (
        "a second document starts here",
        "a site file holds one document: remove the line ---",
    ),
    "end of stream": ("the text ends inside a value", "a quote or bracket is not closed"),
    "mapping values are not allowed": (
        "a key is not allowed here",
        "align keys that belong together; a value with a colon and a space needs quotes",
    ),
    "block end": (
        "the indentation does not fit",
        "indent keys that belong together by the same number of spaces",
    ),
    "',' or ']'": (
        "a list is not closed",
        "close the bracket [ with ], separate entries with commas",
    ),
    "',' or '}'": (
        "a mapping is not closed",
        "close the brace { with }, separate entries with commas",
    ),
    "could not find expected ':'": ("a colon is missing", "write key: value"),
}
_OTHER_SYNTAX = ("not valid YAML", "check the quotes, brackets and indentation around here")


def _syntax_fault(error: MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else START
    problem = str(error.problem)
    known = (words for part, words in _SYNTAX.items() if part in problem)
    return Fault(place, *next(known, _OTHER_SYNTAX))


class _Builder:
    """Walks the composed nodes once; anchors are followed, within bounds against alias bombs."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._constructor = YAML(typ="safe", pure=True).constructor
        self._count = 0

    def build(self, node: Node, loc: Loc) -> Any:
        self._bound(node, loc)
        self._document.values[loc] = _place(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*loc, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, loc)

    def _bound(self, node: Node, loc: Loc) -> None:
        self._count += 1
        if len(loc) > _MAX_DEPTH or self._count > _MAX_VALUES:
            hint = "anchors and aliases repeat too much here: write the values out"
            raise Unreadable(Fault(_place(node), "too many or too deeply nested values", hint))

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else "?"
            place = _place(key_node)
            if key in built:
                fault = Fault(place, "duplicate key", "keep one of the two", (*loc, key))
                self._document.faults.append(fault)
                continue
            self._document.keys[(*loc, key)] = place
            built[key] = self.build(value_node, (*loc, key))
        return built

    def _scalar(self, node: Node, loc: Loc) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (YAMLError, ValueError):
            hint = "put quotes around the value if it is text"
            fault = Fault(_place(node), "not a valid value", hint, loc)
            self._document.faults.append(fault)
            return None


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
