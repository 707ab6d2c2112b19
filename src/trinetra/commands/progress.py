"""Progress bars of downloads, on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from trinetra.commands.console import logs_messages, note


class FetchProgress:
    """ProgressSink with a bar per file, or with a line per file if there is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._drawn = False

    def __enter__(self) -> Self:
        """Return itself; the first download draws the first bar."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are."""
        if self._drawn:
            self._bars.stop()

    def begin(self, label: str, total_bytes: int | None) -> None:
        """Add a bar for this file."""
        if logs_messages():
            note(f"fetching {label}")
            return
        if not self._console.is_terminal:
            self._console.print(f"fetching {label} ...")
            return
        if not self._drawn:
            self._bars.start()
            self._drawn = True
        self._tasks[label] = self._bars.add_task(label, total=total_bytes)

    def advance(self, label: str, done_bytes: int) -> None:
        """Advance the bar."""
        if label in self._tasks:
            self._bars.update(self._tasks[label], completed=done_bytes)

    def end(self, label: str) -> None:
        """Complete the bar."""
        if label in self._tasks:
            self._bars.stop_task(self._tasks.pop(label))

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        if logs_messages():
            note(message)
            return
        self._console.print(f"  {message}", style="dim", markup=False)
