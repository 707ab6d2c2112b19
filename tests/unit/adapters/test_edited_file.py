"""A file that several people edit is replaced only by those who read its present state."""

import os
import stat
from pathlib import Path

import pytest

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk import edited_file
from trinetra.adapters.disk.edited_file import EditedFile, FileChanged
from trinetra.errors import FileRefused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text("one")
    file.chmod(0o640)
    return file


def opened(path: Path, max_bytes: int = 1000) -> EditedFile:
    return EditedFile(path, SystemClock(), max_bytes=max_bytes)


def test_a_file_is_replaced_with_its_mode_and_the_old_one_is_kept(path: Path) -> None:
    file = opened(path)
    before = file.read()
    after = file.replace("two", before.digest)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert file.read() == after
    assert file.earlier(before.digest) == before


def test_two_people_who_read_the_same_state_do_not_overwrite_each_other(path: Path) -> None:
    file = opened(path)
    digest = file.read().digest
    file.replace("hers", digest)
    with pytest.raises(FileChanged) as changed:
        file.replace("his", digest)
    assert changed.value.state.content == b"hers"
    assert path.read_text() == "hers"


def test_a_save_by_hand_just_before_the_rename_wins(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(path)
    digest = file.read().digest
    real = os.fsync

    def save_by_hand(descriptor: int) -> None:
        real(descriptor)
        path.write_text("by hand")

    monkeypatch.setattr(edited_file.os, "fsync", save_by_hand)
    with pytest.raises(FileChanged):
        file.replace("two", digest)
    assert path.read_text() == "by hand"
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".site.yaml.")] == [
        ".site.yaml.lock"
    ]


def test_a_write_protected_file_is_left_alone(path: Path) -> None:
    file = opened(path)
    digest = file.read().digest
    path.chmod(0o440)
    with pytest.raises(FileRefused, match=r"write-protected: chmod u\+w"):
        file.replace("two", digest)
    assert path.read_text() == "one"


def test_a_writer_that_holds_the_lock_is_not_disturbed(path: Path) -> None:
    one, two = opened(path), opened(path)
    digest = one.read().digest
    with one._locked(), pytest.raises(FileRefused, match="save again"):
        two.replace("two", digest)
    assert two.replace("two", digest).content == b"two"


def test_a_link_still_leads_to_the_file(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    file = opened(link)
    file.replace("two", file.read().digest)
    assert link.is_symlink()
    assert path.read_text() == "two"


def test_a_missing_and_a_huge_file_are_refused(path: Path) -> None:
    with pytest.raises(FileRefused, match="larger than 2 bytes"):
        opened(path, max_bytes=2).read()
    path.unlink()
    with pytest.raises(FileRefused, match="cannot be read: no such file"):
        opened(path).read()


def test_a_byte_order_mark_stays(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfone")
    file = opened(path)
    file.replace("two", file.read().digest)
    assert path.read_bytes() == b"\xef\xbb\xbftwo"


def test_only_the_newest_copies_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edited_file, "MAX_COPIES", 3)
    file = opened(path)
    for number in range(6):
        file.replace(f"state {number}", file.read().digest)
    copies = sorted((path.parent / "site.yaml.history").iterdir())
    assert [copy.read_text() for copy in copies] == ["state 2", "state 3", "state 4"]
    assert all(stat.S_IMODE(copy.stat().st_mode) == 0o600 for copy in copies)
