"""Reads the files of a shop: its site file, and events that were written to a file."""

from collections.abc import Iterator
from pathlib import Path

from trinetra.evaluation.reading import events_in
from trinetra.events.schema import AnyEvent
from trinetra.site import Site
from trinetra.site import load_site as load


def load_site(path: str | Path) -> Site:
    """Return the site that a file describes; passwords of cameras need not be set.

    Raises SiteInvalid, a ConfigurationError, with every problem and its line and column.
    """
    return load(Path(path))


def read_events(path: str | Path) -> Iterator[AnyEvent]:
    """Yield the events that ``trinetra run --events FILE`` wrote, in the order of the file.

    An event that grew or was corrected was written again under the same ``event_id``. Raises
    ConfigurationError with file and line.
    """
    return events_in(Path(path))
