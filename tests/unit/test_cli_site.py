"""The command line around the site file, run as a user runs it."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trinetra import __version__, cli
from trinetra.commands import console
from trinetra.errors import ConfigurationError
from trinetra.models.calibration import (
    CalibrationFile,
    ReferenceStatistics,
    calibration_path,
    write_calibration,
)
from trinetra.models.manifest import load_manifest
from trinetra.site import EXAMPLE

CALIBRATED = """\
site: shop
timezone: Europe/Berlin
cameras:
  - {id: till, role: billing, source: {file: a.mp4}}
policies:
  consolidation:
    merge_at: 0.85
"""
BROKEN = "site: shop\ntimezone: Europe/Berln\ncameras: []\n"


def trinetra(
    *arguments: str, cwd: Path, stdout: int = subprocess.PIPE, **environ: str
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRINETRA_", "DOOR_"))}
    return subprocess.run(
        [sys.executable, "-m", "trinetra.cli", *arguments],
        cwd=cwd,
        env={**clean, "COLUMNS": "100", **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["trinetra", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_a_command_starts_without_what_only_some_need_and_takes_long_to_read() -> None:
    program = "import sys, trinetra.commands.application; print(*sys.modules)"
    read = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {b"scipy.optimize", b"scipy.signal", b"scipy.stats"} & set(read.stdout.split())


def test_what_init_writes_passes_check(tmp_path: Path) -> None:
    assert trinetra("init", cwd=tmp_path).returncode == 0
    assert (tmp_path / "site.yaml").read_text() == EXAMPLE
    checked = trinetra("check", "site.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert all(name in checked.stdout for name in ("door", "welcome", "aisle", "till", "parking"))
    assert "DOOR_CAMERA_PASSWORD is not set here" in checked.stderr


def test_in_a_narrow_window_check_shows_ids_and_roles_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.yaml"
    camera = "{id: entrance-north-upper-level, role: entrance, source: {url: 'rtsp://%s'}}"
    path.write_text(f"site: shop\ntimezone: UTC\ncameras: [{camera % '127.0.0.1:8554/a/b/c'}]\n")
    monkeypatch.setenv("COLUMNS", "80")

    assert run(monkeypatch, "check", str(path)) == 0

    shown = capsys.readouterr().out
    assert re.search(r"^ *entrance-north-upper-level +entrance ", shown, re.MULTILINE), shown
    assert max(map(len, shown.splitlines())) <= 80


def test_init_does_not_replace_a_file_unless_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("mine")
    assert run(monkeypatch, "init", str(path)) == 1
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert run(monkeypatch, "init", str(path), "--force") == 0
    assert path.read_text() == EXAMPLE


def test_init_into_a_folder_that_is_not_there_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "init", str(tmp_path / "no" / "site.yaml")) == 1
    assert "cannot be written: no such file or directory" in capsys.readouterr().err


def test_check_tells_each_problem_on_a_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(BROKEN)
    assert run(monkeypatch, "check", str(path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:2:11: timezone: ")
    assert lines[0].endswith("hint: did you mean Europe/Berlin?")
    assert lines[1].startswith(f"{path}:3:10: cameras: ")
    assert lines[2] == "2 mistakes found."


def test_check_compares_policies_with_the_calibration_of_this_machine(tmp_path: Path) -> None:
    embedder = load_manifest().profile("default").face_embedder
    measured = CalibrationFile(
        model=embedder.version,
        sha256="0" * 64,
        declared=embedder.sha256,
        measured_at=datetime(2026, 11, 22, tzinfo=UTC),
        people=40,
        pictures=200,
        similarity=0.9,
        thresholds=(),
        curve=(),
        reference=ReferenceStatistics((), (), ()),
    )
    site = CALIBRATED.replace("0.85", "0.92")
    (tmp_path / "site.yaml").write_text(CALIBRATED)
    assert trinetra("check", "site.yaml", cwd=tmp_path).returncode == 0
    write_calibration(calibration_path(tmp_path, embedder), measured)
    refused = trinetra("check", "site.yaml", cwd=tmp_path, TRINETRA_DATA_DIR=str(tmp_path))
    assert refused.returncode == 1
    assert "site.yaml:7:15: policies.consolidation.merge_at: merge_at 0.85" in refused.stdout
    assert "calibration" in refused.stdout
    (tmp_path / "site.yaml").write_text(site)
    accepted = trinetra("check", "site.yaml", cwd=tmp_path, TRINETRA_DATA_DIR=str(tmp_path))
    assert accepted.returncode == 0


def test_check_speaks_json_to_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(BROKEN)
    assert run(monkeypatch, "check", str(path), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [(p["line"], p["column"]) for p in told["problems"]] == [(2, 11), (3, 10)]
    path.write_text(EXAMPLE)
    assert run(monkeypatch, "check", str(path), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["site"]["cameras"]["till"]["role"]) == (True, "billing")


def test_the_schema_is_printed_for_editors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "TRINETRA site file"


def test_the_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"trinetra {__version__}\n"


def test_wrong_usage_has_its_own_exit_code(tmp_path: Path) -> None:
    assert trinetra("chekc", cwd=tmp_path).returncode == 2
    assert trinetra("check", cwd=tmp_path).returncode == 2


def test_a_planned_failure_shows_a_traceback_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").touch()
    plain = trinetra("init", cwd=tmp_path)
    assert (plain.returncode, "Traceback" in plain.stderr) == (1, False)
    assert "Traceback" in trinetra("--debug", "init", cwd=tmp_path).stderr
    assert "Traceback" in trinetra("init", cwd=tmp_path, TRINETRA_DEBUG="1").stderr


def test_a_reader_who_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = trinetra("schema", cwd=tmp_path, stdout=writer)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_ctrl_c_has_the_exit_code_of_an_interrupted_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("trinetra.commands.site.schema_text", interrupted)
    assert run(monkeypatch, "schema") == 130


def test_credentials_in_a_failure_are_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> str:
        raise ConfigurationError("cannot reach rtsp://admin:hunter2@192.168.1.2/x [bold]")

    monkeypatch.delenv("TRINETRA_DEBUG", raising=False)
    monkeypatch.setattr("trinetra.commands.site.schema_text", failing)
    assert run(monkeypatch, "schema") == 1
    told = capsys.readouterr().err
    assert told == "error: cannot reach rtsp://***@192.168.1.2/… [bold]\n"


def test_complaints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain("no")
    console.note("well")
    assert capsys.readouterr() == ("", "error: no\nnote: well\n")
