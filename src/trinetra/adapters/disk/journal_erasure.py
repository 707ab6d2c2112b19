"""Erases a person from the journal of a platform in one process.

Ids of the person are replaced by a constant. The embeddings in detections belong to people who
were not recognized yet, so no id leads to them: all embeddings are removed.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_file import Edit
from trinetra.adapters.disk.journal_format import Entry
from trinetra.events.biometrics import without_biometrics
from trinetra.events.topics import DETECTIONS
from trinetra.values import CustomerId

ERASED_PERSON = CustomerId("erased")


class JournalErasureTarget:
    """The ErasureTarget of the journal."""

    def __init__(self, journal: JournalingEventLog) -> None:
        self._journal = journal

    async def forget(self, ids: Sequence[CustomerId]) -> dict[str, int]:
        """Rewrite the journal without these ids and without embeddings.

        Raises StorageFull or ConfigurationError; the call can be repeated.
        """
        return {"journal_records": await self._journal.rewrite(forgetting(ids))}


def forgetting(ids: Sequence[CustomerId]) -> Edit:
    """Return the edit that removes these ids, and all embeddings, from entries."""
    names = [customer_id.encode() for customer_id in ids]

    def edit(entry: Entry) -> Entry | None:
        if entry.topic == DETECTIONS.name:
            value = without_biometrics(entry.value)
            return None if value is None else _with(entry, value, entry.key)
        value, key = entry.value, entry.key
        for name in names:
            value = value.replace(name, ERASED_PERSON.encode())
            key = ERASED_PERSON if key == name.decode() else key
        return _with(entry, value, key)

    return edit


def _with(entry: Entry, value: bytes, key: str) -> Entry:
    """Return an entry with this content; the same object if nothing changes."""
    unchanged = (value, key) == (entry.value, entry.key)
    return entry if unchanged else replace(entry, value=value, key=key)
