"""Records what a command and its children look up and connect to, and refuses the internet."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import unavailable

_SOURCE = Path(__file__).with_suffix(".c")


def built_in(folder: Path) -> Path:
    """Return the library to preload, compiled into ``folder``; skip the test without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        unavailable(
            "no C compiler to build the network recorder: apt-get install gcc libc6-dev",
            "TRINETRA_TEST_REQUIRE_SERVERS",
        )
    library = folder / "network_recorder.so"
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(library)]
    subprocess.run([compiler, *options, str(_SOURCE), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class RecordedUser:
    """A user with an empty home folder, outside of CI, whose network use is recorded."""

    folder: Path
    library: Path
    cache: Path
    home: Path = field(init=False)
    record: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.folder / "home")
        object.__setattr__(self, "record", self.folder / "network")
        self.home.mkdir()

    def environment(self, **settings: str) -> dict[str, str]:
        """Return an environment in which nothing is set but what a login sets, and settings."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(temporary),
            "COLUMNS": "200",
            "LD_PRELOAD": str(self.library),
            "NETWORK_RECORD": str(self.record),
            "TRINETRA_DATA_DIR": str(self.folder / "data"),
            "TRINETRA_CACHE_DIR": str(self.cache),
            **settings,
        }

    def reached(self) -> set[str]:
        """Return every ``lookup NAME`` and ``connect ADDRESS PORT``."""
        return set(self.record.read_text().splitlines()) if self.record.exists() else set()

    def left_at_home(self) -> list[str]:
        """Return the files in the home folder."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))
