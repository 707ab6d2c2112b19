"""What a long fetch tells its caller; the CLI draws it."""

from typing import Protocol


class ProgressSink(Protocol):
    """Receives the progress of one file or package after another, each under its own label."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        """Something starts that will take about so many bytes."""

    def advance(self, label: str, done_bytes: int) -> None:
        """So many bytes of it are here now, counted from its start."""

    def end(self, label: str) -> None:
        """It is over, well or not."""

    def note(self, message: str) -> None:
        """Something happened that the user may want to know, such as a source that failed."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, label: str, done_bytes: int) -> None:
        """Do nothing."""

    def end(self, label: str) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""
