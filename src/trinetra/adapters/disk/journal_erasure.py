"""Erases a person from the journal of a platform in one process.

Ids of the person are replaced by a constant. The embeddings in detections belong to people who
were not recognized yet, so no id leads to them: all embeddings are removed.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from trinetra.adapters.disk.journal import JournalingEventLog
from trinetra.adapters.disk.journal_file import Edit
from trinetra.adapters.disk.journal_format import Entry
from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode, encode
from trinetra.events.schema import DetectionEvent
from trinetra.events.topics import DETECTIONS
from trinetra.values import CustomerId

NOBODY = CustomerId("erased")
_BIOMETRIC = (b'"embedding"', b'"appearance"', b'"body"')


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
            return _without_embeddings(entry)
        value, key = entry.value, entry.key
        for name in names:
            value = value.replace(name, NOBODY.encode())
            key = NOBODY if key == name.decode() else key
        unchanged = (value, key) == (entry.value, entry.key)
        return entry if unchanged else replace(entry, value=value, key=key)

    return edit


def _without_embeddings(entry: Entry) -> Entry | None:
    if not any(field in entry.value for field in _BIOMETRIC):
        return entry
    try:
        event = decode(entry.value)
    except MalformedEvent:
        return None  # nothing can read it, and it may hold anything
    if not isinstance(event, DetectionEvent):
        return entry
    faces = tuple(replace(f, embedding=None, unusable=f.unusable or "erased") for f in event.faces)
    objects = tuple(replace(o, appearance=None, body=None) for o in event.objects)
    if (faces, objects) == (event.faces, event.objects):
        return entry
    return replace(entry, value=encode(replace(event, faces=faces, objects=objects)))
