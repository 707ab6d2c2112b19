"""Reads text files line by line, with line numbers for error messages."""

from collections.abc import Iterator
from pathlib import Path

from trinetra.errors import ConfigurationError


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield every line that is not blank. Raises ConfigurationError for an unreadable file."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line := line.strip():
                    yield number, line
    except OSError as cause:
        raise unreadable(path, cause) from cause


def require_file(path: Path) -> None:
    """Raise ConfigurationError early for a file that cannot be opened."""
    try:
        path.open("rb").close()
    except OSError as cause:
        raise unreadable(path, cause) from cause


def unreadable(path: Path, cause: OSError) -> ConfigurationError:
    """Return the error for a file that cannot be opened or read."""
    reason = (cause.strerror or "unreadable").lower()
    return ConfigurationError(f"{path} cannot be read: {reason}; check the path")


def malformed(path: Path, line: int, what: str) -> ConfigurationError:
    """Return the error for a malformed line."""
    return ConfigurationError(f"{path}:{line}: {what}")
