"""Past events of a platform in one process, read from its journal while it runs or afterwards."""

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trinetra.adapters.disk.journal_file import read_journal
from trinetra.errors import ConfigurationError
from trinetra.events.topics import Topic
from trinetra.values import Instant

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class JournalHistory:
    """The journal in a folder."""

    folder: Path

    def __str__(self) -> str:
        return f"the journal in {self.folder}"

    async def read(self, topics: Sequence[Topic], *, since: Instant) -> AsyncIterator[list[bytes]]:
        """Yield the entries of the topics, in batches. Raises ConfigurationError without a journal.

        Each camera's are in order.
        """
        if not self.folder.is_dir():
            raise ConfigurationError(
                f"there is no journal in {self.folder}: `trinetra run` writes it unless "
                "TRINETRA_JOURNAL_MAX_MB is 0; run as the same user, or give --file"
            )
        entries = read_journal(self.folder, [topic.name for topic in topics], since=since)
        while batch := list(itertools.islice(entries, _BATCH)):
            yield [entry.value for entry in batch]
