"""The product as a person runs it: the command in a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trinetra.settings import load_settings

SITE = """\
site: shop
timezone: UTC
cameras:
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without this machine's settings, with all folders below ``folder``.

    Only the cache is that of the whole run: compiling the networks takes seconds.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRINETRA_")}
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        **clean,
        "COLUMNS": "200",
        "TMPDIR": str(temporary),
        "TRINETRA_DATA_DIR": str(folder / "data"),
        "TRINETRA_CACHE_DIR": str(load_settings().cache_dir),
        "TRINETRA_EMBEDDED_PORT": "0",
        **more,
    }


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "trinetra.cli", *map(str, arguments)]


def trinetra(
    *arguments: str | Path, folder: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        env=environment(folder, **environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def started(
    *arguments: str | Path, folder: Path, **environ: str
) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; its output can be read while it runs, and it ends with the block."""
    process = subprocess.Popen(
        command(*arguments),
        env=environment(folder, **environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def site_file(folder: Path, *cameras: str) -> Path:
    """Write a site with these cameras, each in YAML's flow style."""
    path = folder / "site.yaml"
    path.write_text(SITE + "".join(f"  - {{{camera}}}\n" for camera in cameras))
    return path


def read_until(stream: Iterator[str], *said: str) -> str:
    """Return the lines up to the one with which all of this was said."""
    lines, missing = [], set(said)
    for line in stream:
        lines.append(line)
        missing = {text for text in missing if text not in line}
        if not missing:
            return "".join(lines)
    raise AssertionError(f"never said {missing}, but:\n{''.join(lines)}")
