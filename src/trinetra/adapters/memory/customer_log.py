"""In-memory customer log, for tests and benchmarks, and as the reference for the port."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from trinetra.errors import CustomerConflict
from trinetra.events.customers import (
    CustomerChange,
    CustomerDirectory,
    NumberedChange,
    decode_change,
    encode_change,
)
from trinetra.ports import Template
from trinetra.values import CustomerId, GalleryEntry


class _Row(msgspec.Struct, frozen=True):
    """A change as it was written, and the ids it concerns."""

    number: int
    change_id: str
    about: tuple[CustomerId | None, ...]
    payload: bytes


class MemoryCustomerLog:
    """A CustomerLog that is lost when its process ends."""

    name = "customer log"

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._faces: dict[tuple[str, str], GalleryEntry] = {}
        self._reached: dict[str, int] = {}
        self._last_number = 0

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Append changes in order, and faces, all or none. Raises CustomerConflict."""
        written = {row.change_id for row in self._rows}
        new = {c.change_id: c for c in changes if c.change_id not in written}
        people = CustomerDirectory()
        people.apply(self._numbered())
        refuse_contradictions(people, list(new.values()), templates)
        for change in new.values():
            self._add(change)
        for template in templates:
            entry = template.entry
            self._faces[template.model, entry.entry_id] = _copied(entry)

    async def changes(self, after: int, limit: int) -> list[NumberedChange]:
        """Return changes with a number above ``after``, in order."""
        return [change for change in self._numbered() if change.number > after][:limit]

    async def templates(self, model: str) -> list[GalleryEntry]:
        """Return the faces of enrolled people that were embedded by a model version."""
        of_model = sorted(key for key in self._faces if key[0] == model)
        return [_copied(self._faces[key]) for key in of_model]

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Replace every record about a person with ``change``; return how many were deleted."""
        before = len(self._rows) + len(self._faces)
        self._rows = [row for row in self._rows if customer_id not in row.about]
        self._faces = {k: e for k, e in self._faces.items() if e.customer_id != customer_id}
        deleted = before - len(self._rows) - len(self._faces)
        if change.change_id not in {row.change_id for row in self._rows}:
            self._add(change)
        return deleted

    async def reached(self, reader: str, number: int = 0) -> int:
        """Record that a reader has applied all changes up to ``number``; return its maximum."""
        self._reached[reader] = max(number, self._reached.get(reader, 0))
        return self._reached[reader]

    def _numbered(self) -> list[NumberedChange]:
        return [NumberedChange(row.number, decode_change(row.payload)) for row in self._rows]

    def _add(self, change: CustomerChange) -> None:
        self._last_number += 1
        about = (change.customer_id, change.other)
        row = _Row(self._last_number, change.change_id, about, encode_change(change))
        self._rows.append(row)


def refuse_contradictions(
    people: CustomerDirectory, changes: Sequence[CustomerChange], templates: Sequence[Template]
) -> None:
    """Apply changes to ``people``, checking each against the ones before it.

    Raises CustomerConflict for a change that contradicts an earlier one, and for a face of an
    erased person; ``people`` must be discarded then.
    """
    for change in changes:
        people.check(change)
        people.apply([NumberedChange(people.number, change)])
    for template in templates:
        if people.is_erased(template.entry.customer_id):
            raise CustomerConflict("a face of an erased person cannot be kept")


def _copied(entry: GalleryEntry) -> GalleryEntry:
    return replace(entry, embedding=np.array(entry.embedding, np.float32))
