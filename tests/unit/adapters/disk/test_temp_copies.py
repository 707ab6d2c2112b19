"""Tests for the lifetime of temporary copies."""

import subprocess
import sys
from pathlib import Path

import pytest

from trinetra.adapters.disk.temp_copies import clear_temp_copies, temp_copy_folder

KILLED = """
import os, sys
from pathlib import Path
from trinetra.adapters.disk.temp_copies import temp_copy_folder
with temp_copy_folder(Path(sys.argv[1])) as folder:
    (folder / "faces").write_text("faces")
    os.kill(os.getpid(), 9)
"""


def held(data_dir: Path) -> list[Path]:
    return list((data_dir / "tmp").iterdir())


@pytest.fixture
def left(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    [folder] = held(tmp_path)
    return folder


def test_it_is_private_and_gone_in_the_end(tmp_path: Path) -> None:
    with temp_copy_folder(tmp_path) as folder:
        (folder / "faces").write_text("faces")
        assert {p.stat().st_mode & 0o777 for p in (folder, folder.parent)} == {0o700}
    assert held(tmp_path) == []


def test_leftovers_of_a_killed_process_are_removed_by_the_next_one(
    tmp_path: Path, left: Path
) -> None:
    with temp_copy_folder(tmp_path) as folder:
        assert held(tmp_path) == [folder] != [left]


def test_clearing_leaves_alone_what_is_in_use(tmp_path: Path, left: Path) -> None:
    clear_temp_copies(tmp_path / "nowhere")
    clear_temp_copies(tmp_path)
    assert not left.exists()
    with temp_copy_folder(tmp_path) as folder:
        clear_temp_copies(tmp_path)
        assert held(tmp_path) == [folder]
