"""Reads XML from devices that are not trusted: no document types, no entities, nothing large.

A document type is refused before any entity is expanded, which rules out entity bombs and external
entities alike; depth, number of elements and size are bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 256 << 10
_MAX_DEPTH = 40
_MAX_ELEMENTS = 5_000


class XmlRefused(Exception):
    """The bytes are not XML that is accepted here; the message does not repeat them."""


@dataclass(slots=True)
class Element:
    """One element: its name without the namespace, its text, attributes and children."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator["Element"]:
        """Yield this element and those below it that have a name, in order."""
        if self.name == name:
            yield self
        for child in self.children:
            yield from child.all(name)

    def first(self, name: str) -> "Element | None":
        """Return the first element of a name, here or below."""
        return next(self.all(name), None)

    def text_of(self, *path: str) -> str:
        """Return the text of the first element that is reached by these names, "" without one."""
        found: Element | None = self
        for name in path:
            found = found.first(name) if found else None
        return found.text.strip() if found else ""


def read_xml(payload: bytes) -> Element:
    """Return the root of a document. Raises XmlRefused."""
    if len(payload) > MAX_BYTES:
        raise XmlRefused(f"larger than {MAX_BYTES >> 10} KiB")
    builder = _Builder()
    try:
        builder.parser.Parse(payload, True)
    except expat.ExpatError as cause:
        raise XmlRefused(f"no XML: {expat.ErrorString(cause.code)}") from cause
    except (LookupError, ValueError, UnicodeError) as cause:
        raise XmlRefused("no XML: its encoding is unknown") from cause
    if builder.root is None:
        raise XmlRefused("no XML: it is empty")
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse

    def _refuse(self, *_: object) -> int:
        raise XmlRefused("it declares a document type, as attacks with entities do")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise XmlRefused("it has too many or too deeply nested elements")
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        element = Element(name.rpartition(" ")[2], plain)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].text += text
