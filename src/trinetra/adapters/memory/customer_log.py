"""A customer book in memory: for tests and measurements, and to say what the port means."""

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
    """A change as it was written, and whom it concerns."""

    number: int
    change_id: str
    about: tuple[CustomerId | None, ...]
    payload: bytes


class MemoryCustomerLog:
    """A CustomerLog that ends with its process."""

    name = "customer book"

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._faces: dict[tuple[str, str], GalleryEntry] = {}
        self._reached: dict[str, int] = {}
        self._last_number = 0

    async def write(
        self, changes: Sequence[CustomerChange], templates: Sequence[Template] = ()
    ) -> None:
        """Add changes in order, and faces, all or none; raises CustomerConflict."""
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
        """Return the faces of enrolled people that a model version read."""
        of_model = sorted(key for key in self._faces if key[0] == model)
        return [_copied(self._faces[key]) for key in of_model]

    async def erase(self, customer_id: CustomerId, change: CustomerChange) -> int:
        """Delete everything about somebody and put ``change`` in its place; return how much."""
        before = len(self._rows) + len(self._faces)
        self._rows = [row for row in self._rows if customer_id not in row.about]
        self._faces = {k: e for k, e in self._faces.items() if e.customer_id != customer_id}
        gone = before - len(self._rows) - len(self._faces)
        if change.change_id not in {row.change_id for row in self._rows}:
            self._add(change)
        return gone

    async def reached(self, reader: str, number: int = 0) -> int:
        """Note how far a reader has acted on the changes; return the furthest noted."""
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
    """Fold changes into ``people``, each checked against those before it.

    Raises CustomerConflict for one that contradicts them, and for a face of somebody erased; what
    ``people`` says then is of no more use.
    """
    for change in changes:
        people.check(change)
        people.apply([NumberedChange(people.number, change)])
    for template in templates:
        if people.is_erased(template.entry.customer_id):
            raise CustomerConflict("a face of somebody who was erased cannot be kept")


def _copied(entry: GalleryEntry) -> GalleryEntry:
    return replace(entry, embedding=np.array(entry.embedding, np.float32))
