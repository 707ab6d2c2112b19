"""``scripts/install-servers``: what it would install on a machine that has nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "install-servers"
UNASKED = ("postgresql", "prometheus")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """Return a folder of programs in which nothing is installed, for a user who is not root."""
    for name in ("sh", "dirname", "sed", "ls", "rm"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    for name, body in {"id": "echo 1000", "java": "exit 127"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def told(bare_path: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [SCRIPT, *arguments],
        env={"PATH": str(bare_path), "HOME": str(bare_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_only_what_devservers_starts_is_installed_unasked(bare_path: Path) -> None:
    code, text = told(bare_path)
    assert code == 1
    assert "missing: redis-server java maven" in text
    assert not any(name in text for name in UNASKED)


def test_servers_that_only_tests_use_are_installed_when_asked_for(bare_path: Path) -> None:
    code, text = told(bare_path, "--all")
    assert code == 1
    assert all(name in text for name in UNASKED)


def test_a_wrong_argument_installs_nothing(bare_path: Path) -> None:
    assert told(bare_path, "redis") == (2, "usage: scripts/install-servers [--all]\n")
