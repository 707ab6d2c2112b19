"""Edits of a site file as text: every byte that an edit does not concern stays, comments included.

An edit names a value by its path, like ``("cameras", "entrance", "lines", "door")``: a step into a
list is the ``id`` of an entry, or its position. The result is read again and compared with the
intended values before it is returned, so that an edit is made as meant or refused.
"""

import copy
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from trinetra.errors import ConfigurationError
from trinetra.site.document import Unreadable, compose, read_document

Step = str | int
Path = tuple[Step, ...]
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_MAX_DEPTH = 10
_MAX_VALUES = 2_000
"""Reading a text again takes about a millisecond for each value."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: ``put`` sets a value or adds an entry, ``remove`` deletes it."""

    op: Literal["put", "remove"]
    path: Path
    value: Any = None

    @property
    def shown(self) -> str:
        """The path, as problems of site files show it."""
        return ".".join(map(str, self.path))


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Return the text after these edits, in order.

    Raises ConfigurationError for a text that cannot be read, a path that leads nowhere, a value
    that YAML cannot hold, or where the text is written in a way that this cannot edit.
    """
    for edit in edits:
        text = _applied(text, edit)
    return text


def _applied(text: str, edit: Edit) -> str:
    if not edit.path:
        raise ConfigurationError("an edit needs a path; to replace the whole file, send its text")
    if _count(edit.value) > _MAX_VALUES:
        raise ConfigurationError(f"{edit.shown}: more than {_MAX_VALUES} values at once")
    _check_value(edit.value, edit)
    root, data = _read(text)
    wanted = _edited(data, edit)
    splices = sorted(_Editor(text).splices(root, data, edit), key=lambda each: -each.start)
    for each in splices:
        text = text[: each.start] + each.text + text[each.end :]
    if _same(_data(text), wanted):
        return text
    raise ConfigurationError(
        f"{edit.shown}: the file is written in a way that cannot be edited here; edit its text"
    )


def _read(text: str) -> tuple[Node, Any]:
    try:
        root, data = compose(text), read_document(text).data
    except Unreadable as cause:
        raise ConfigurationError(f"the file cannot be read: {cause.fault.message}") from cause
    if root is None or not isinstance(data, dict):
        raise ConfigurationError("the file is empty or no mapping of keys to values; edit its text")
    return root, data


def _data(text: str) -> Any:
    try:
        return read_document(text).data
    except Unreadable:  # compared with the intended values, which it then is not
        return None


def _same(one: Any, two: Any) -> bool:
    """Return whether plain values are the same; 1 and 1.0 are, True and 1 are not."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    return bool(one == two)


def _count(value: Any, depth: int = 0) -> int:
    inner: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    return 1 + sum(_count(each, depth + 1) for each in inner if depth <= _MAX_DEPTH)


def _check_value(value: Any, edit: Edit, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ConfigurationError(f"{edit.shown}: nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{edit.shown}: NaN and infinity are no coordinates or lengths")
    if isinstance(value, Mapping):
        for each in value.values():
            _check_value(each, edit, depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_value(each, edit, depth + 1)


# --- on plain values ----------------------------------------------------------------------------


def _edited(data: Any, edit: Edit) -> Any:
    """Return the plain values after the edit. Raises ConfigurationError for a wrong path."""
    result = copy.deepcopy(data)
    parent = result
    for step in edit.path[:-1]:
        key = _key(parent, step)
        if key is None:
            raise _lost(edit, step)
        parent = parent[key]
    key, last = _key(parent, edit.path[-1]), edit.path[-1]
    if edit.op == "remove":
        if key is None:
            raise _lost(edit, last)
        del parent[key]
        _drop_if_empty(result, edit.path[:-1], parent)
    elif key is not None:
        parent[key] = edit.value
    elif isinstance(parent, list):
        parent.append(edit.value)
    elif isinstance(parent, dict) and isinstance(last, str):
        parent[last] = edit.value
    else:
        raise _lost(edit, last)
    return result


def _drop_if_empty(data: Any, path: Path, removed_from: Any) -> None:
    """Remove the key of a list that has no entry any more."""
    if not isinstance(removed_from, list) or removed_from or not path:
        return
    parent = data
    for step in path[:-1]:
        parent = parent[_key(parent, step)]
    if isinstance(parent, dict):
        del parent[path[-1]]


def _key(parent: Any, step: Step) -> Any:
    """Return the key of a step in a mapping or list, None if there is no such entry."""
    if isinstance(parent, dict):
        return step if step in parent else None
    if not isinstance(parent, list):
        return None
    if isinstance(step, int):
        return step if 0 <= step < len(parent) else None
    ids = (row for row, each in enumerate(parent) if isinstance(each, dict))
    return next((row for row in ids if parent[row].get("id") == step), None)


def _lost(edit: Edit, step: Step) -> ConfigurationError:
    return ConfigurationError(
        f"{edit.shown}: the file has no {step} there; read it again, it may have changed"
    )


# --- on the text --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Splice:
    start: int
    end: int
    text: str


class _Editor:
    """Finds what to replace in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def splices(self, root: Node, data: Any, edit: Edit) -> Iterator[_Splice]:
        """Yield what to replace so that the edit is made."""
        chain, key = [root], None
        for step in edit.path:
            key = _key(data, step)
            if key is None:
                break
            chain.append(_child(chain[-1], key))
            data = data[key]
        if edit.op == "remove":
            yield from self._removed(chain, edit.path)
        elif key is None:
            yield self._added(chain[-1], edit)
        else:
            yield from self._replaced(chain, edit.path, data, edit.value)

    def _replaced(
        self, chain: Sequence[Node], path: Path, data: Any, value: Any
    ) -> Iterator[_Splice]:
        """Yield the differences of two mappings key by key, and other values as a whole."""
        node = chain[-1]
        if _same(data, value):
            return
        if not (isinstance(data, dict) and data and isinstance(value, Mapping)):
            yield self._rewritten(chain, path[-1], value)
            return
        for name in data.keys() - value.keys():
            yield from self._removed([*chain, _child(node, name)], (*path, name))
        for name, each in value.items():
            if name in data:
                below = [*chain, _child(node, name)]
                yield from self._replaced(below, (*path, name), data[name], each)
        new = {name: each for name, each in value.items() if name not in data}
        if new:
            yield self._with_keys(node, new)

    def _rewritten(self, chain: Sequence[Node], step: Step, value: Any) -> _Splice:
        parent, node = chain[-2], chain[-1]
        start, end = node.start_mark.index, self._end(node)
        if isinstance(parent, MappingNode) and not _is_flow(node) and self._breaks(parent, step):
            key = next(k for k, _ in parent.value if k.value == step)
            start = self._text.index(":", key.end_mark.index) + 1
            return _Splice(start, end, " " + flow(value))
        space = " " if start == end and self._text[start - 1 : start] == ":" else ""
        return _Splice(start, end, space + flow(value))

    def _breaks(self, parent: MappingNode, step: Step) -> bool:
        """Return whether a value begins on a line after its key."""
        key, value = next((k, v) for k, v in parent.value if k.value == step)
        return bool(value.start_mark.line > key.end_mark.line)

    def _added(self, node: Node, edit: Edit) -> _Splice:
        if isinstance(node, MappingNode):
            return self._with_keys(node, {str(edit.path[-1]): edit.value})
        if _is_flow(node):
            return self._into_flow(node, flow(edit.value))
        indent = " " * node.start_mark.column
        lines = list(block_item(edit.value, indent))
        return self._after(node, lines)

    def _with_keys(self, node: Node, new: Mapping[str, Any]) -> _Splice:
        if _is_flow(node):
            return self._into_flow(node, ", ".join(f"{k}: {flow(v)}" for k, v in new.items()))
        indent = " " * node.start_mark.column
        lines = [line for k, v in new.items() for line in block_key(k, v, indent)]
        return self._after(node, lines)

    def _into_flow(self, node: Node, text: str) -> _Splice:
        at = self._end(_values(node)[-1]) if node.value else node.start_mark.index + 1
        return _Splice(at, at, (", " if node.value else "") + text)

    def _after(self, node: Node, lines: Sequence[str]) -> _Splice:
        at = self._line_end(self._end(node))
        return _Splice(at, at, "".join(self._newline + line for line in lines))

    def _removed(self, chain: Sequence[Node], path: Path) -> Iterator[_Splice]:
        parent, node = chain[-2], chain[-1]
        is_last = len(parent.value) == 1
        if is_last and isinstance(parent, SequenceNode) and len(chain) > 2:  # noqa: PLR2004
            yield from self._removed(chain[:-1], path[:-1])
        elif _is_flow(parent):
            yield self._out_of_flow(parent, node)
        else:
            begin = self._entry_start(parent, node)
            start = self._text.rfind("\n", 0, begin) + 1
            if self._text[start:begin].strip():  # `- ` of the entry that this key begins
                raise ConfigurationError(
                    f"{'.'.join(map(str, path))}: the first key of an entry cannot be removed here;"
                    " edit the text"
                )
            end = self._line_end(self._end(node))
            yield _Splice(start, min(end + len(self._newline), len(self._text)), "")

    def _out_of_flow(self, parent: Node, node: Node) -> _Splice:
        starts = [self._entry_start(parent, each) for each in _values(parent)]
        ends = [self._end(each) for each in _values(parent)]
        row = next(row for row, each in enumerate(_values(parent)) if each is node)
        if row + 1 < len(starts):
            return _Splice(starts[row], starts[row + 1], "")
        return _Splice(ends[row - 1] if row else starts[row], ends[row], "")

    def _entry_start(self, parent: Node, node: Node) -> int:
        """Return where the entry of a value begins: its key, its dash, or itself."""
        if isinstance(parent, MappingNode):
            return int(next(k for k, v in parent.value if v is node).start_mark.index)
        start = int(node.start_mark.index)
        return start if _is_flow(parent) else self._text.rindex("-", 0, start)

    def _end(self, node: Node) -> int:
        """Return where a value ends, without the comments behind it."""
        if isinstance(node, ScalarNode) or _is_flow(node) or not node.value:
            return int(node.end_mark.index)
        return self._end(_values(node)[-1])

    def _line_end(self, index: int) -> int:
        """Return the end of the line, before its line break; ``index`` may follow one."""
        if index and self._text[index - 1] == "\n":
            index -= len(self._newline)
        found = self._text.find(self._newline, index)
        return len(self._text) if found < 0 else found


def _values(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [value for _, value in node.value]
    return list(node.value)


def _child(node: Node, key: Any) -> Node:
    child: Node
    if isinstance(node, MappingNode):
        child = next(value for name, value in node.value if name.value == key)
    else:
        child = node.value[key]
    return child


def _is_flow(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and bool(node.flow_style)


# --- new text -----------------------------------------------------------------------------------


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            is_plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
            return value if is_plain else json.dumps(value, ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{flow(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
    raise ConfigurationError(f"{type(value).__name__} is no value of a site file")


def block_key(name: str, value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a key: lists of mappings an entry a line, other values on one line."""
    entries = value if isinstance(value, list | tuple) else ()
    if entries and all(isinstance(each, Mapping) for each in entries):
        yield f"{indent}{flow(name)}:"
        for each in entries:
            yield f"{indent}  - {flow(each)}"
    else:
        yield f"{indent}{flow(name)}: {flow(value)}"


def block_item(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of an entry of a list: if it holds mappings, a line for each of its keys."""
    nested = isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values())
    if not (isinstance(value, Mapping) and nested):
        yield f"{indent}- {flow(value)}"
        return
    lines = [line for k, v in value.items() for line in block_key(k, v, indent + "  ")]
    yield f"{indent}- {lines[0].lstrip()}"
    yield from lines[1:]
