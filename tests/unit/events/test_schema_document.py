"""The published schema matches the structs."""

from pathlib import Path

from trinetra.commands.events import events_schema_text

DOCUMENT = Path(__file__).parents[3] / "docs" / "events.schema.json"


def test_the_published_schema_of_the_events_is_current() -> None:
    assert DOCUMENT.read_text() == events_schema_text(), "run `make docs`"
