"""Interface for reporting the progress of a long fetch; the CLI displays it."""

from typing import Protocol


class ProgressSink(Protocol):
    """Receives the progress of files or packages in sequence, each under its own label."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        """Start a transfer of about ``total_bytes`` bytes."""

    def advance(self, label: str, done_bytes: int) -> None:
        """Report the number of bytes received since the start."""

    def end(self, label: str) -> None:
        """End a transfer, successful or not."""

    def note(self, message: str) -> None:
        """Report an event of interest to the user, such as a source that failed."""


class SilentProgress:
    """A progress sink that discards everything."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, label: str, done_bytes: int) -> None:
        """Do nothing."""

    def end(self, label: str) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""


class WithoutNotes:
    """Passes transfers on to another sink and drops notes, where the caller reports failures."""

    def __init__(self, sink: ProgressSink) -> None:
        self.begin = sink.begin
        self.advance = sink.advance
        self.end = sink.end

    def note(self, message: str) -> None:
        """Do nothing."""
