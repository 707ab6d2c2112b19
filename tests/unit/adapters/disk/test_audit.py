"""Tests that the audit log continues after an interrupted write, and reports it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trinetra.adapters.disk import audit, private_folder
from trinetra.adapters.disk.audit import AuditLog
from trinetra.errors import StorageFull

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit")
    for action in ("enrol", "show"):
        log.append(NOON, action, "a-person")
    return log


@pytest.mark.parametrize("left", [1, 40, -2, -1])
def test_an_incomplete_line_is_reported_and_harmless(log: AuditLog, left: int) -> None:
    whole = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(whole[0] + whole[1][:left])
    is_whole = left == -1  # except for its newline
    line = log.append(NOON, "forget", "a-person")
    assert line.number == 2 + is_whole
    assert log.lines()[-1] == line
    assert len(list(log.faults())) == 1 - is_whole


def test_bytes_that_are_no_text_are_a_fault_and_no_failure(log: AuditLog) -> None:
    with log.path.open("ab") as file:
        file.write(b'\xff\x00{"by":"\xfe"}\n')
    assert len(log.lines()) == 2
    assert [fault[:6] for fault in log.faults()] == ["line 3"]


def test_a_write_that_fails_half_way_leaves_nothing(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = log.path.read_bytes()

    def half(file: int, data: bytes) -> None:
        os.write(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(audit, "write_all", half)
        with pytest.raises(StorageFull):
            log.append(NOON, "forget", "a-person")
    assert log.path.read_bytes() == before


def test_a_user_without_a_name_stands_there_by_number(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_user() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(audit.getpass, "getuser", no_user)
    assert log.append(NOON, "show", "a-person").by == f"uid {os.getuid()}"


def test_a_folder_of_another_user_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(private_folder.os, "geteuid", lambda: os.getuid() + 1)
    private_folder.make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
