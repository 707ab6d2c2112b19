"""Recorded pictures are private, bounded, and gone when they are erased."""

import os
from pathlib import Path

import pytest

from trinetra.adapters.disk.picture_file import PictureFile
from trinetra.errors import ConfigurationError, StorageFull


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def test_pictures_are_read_by_their_number(path: Path) -> None:
    file = PictureFile(path, 100)
    assert all(file.append(picture) for picture in (b"one", b"", b"three"))
    assert [file.read(n) for n in range(-1, 4)] == [None, b"one", b"", b"three", None]
    assert file.size_bytes == 8
    assert path.stat().st_mode & 0o777 == 0o600
    file.erase()


def test_what_has_no_room_is_left_out(path: Path) -> None:
    file = PictureFile(path, 5)
    assert [file.append(b"four"), file.append(b"22"), file.append(b"1")] == [True, False, True]
    assert [file.read(0), file.read(1), file.size_bytes] == [b"four", b"1", 5]
    file.erase()


def test_an_erased_file_is_gone_and_takes_nothing_more(path: Path) -> None:
    file = PictureFile(path, 100)
    file.append(b"one")
    file.erase()
    file.erase()
    assert not path.exists()
    assert (file.append(b"two"), file.read(0)) == (False, None)


def test_a_file_of_another_one_is_not_taken(path: Path) -> None:
    path.write_bytes(b"another's")
    with pytest.raises(ConfigurationError, match="recorded pictures"):
        PictureFile(path, 100)
    assert path.read_bytes() == b"another's"


def test_a_full_disk_is_told_and_the_picture_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PictureFile(path, 100)
    file.append(b"one")

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StorageFull):
            file.append(b"two")
    assert file.append(b"three")
    assert [file.read(0), file.read(1), file.read(2)] == [b"one", b"three", None]
    file.erase()
