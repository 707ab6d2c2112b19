"""Commands are imported when they are called, and help tells the truth without importing them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from trinetra.commands.application import app
from trinetra.commands.lazy import LazyCommand, LazyGroup

SERVICES_ALONE = {"av", "cv2", "fastapi", "onnxruntime", "openvino", "qdrant_client", "redis"}
REPORTS_ALONE = {"jinja2", "pyarrow", "weasyprint", "xlsxwriter"}
HEAVY = SERVICES_ALONE | REPORTS_ALONE | {"confluent_kafka", "numpy", "sqlalchemy"}
PROGRAM = """
import sys
from trinetra.cli import main

sys.argv = ["trinetra", *sys.argv[1:]]
try:
    main()
finally:
    print("imported", *sys.modules)
"""


def lazy_members(group: Any) -> Iterator[tuple[str, LazyCommand]]:
    """Yield what a group and the groups in it import later, under the words that one types."""
    if isinstance(group, LazyGroup):
        for name, member in group.members.items():
            yield name, member
            for rest, below in lazy_members(member.load(name)):
                yield f"{name} {rest}", below


MEMBERS = dict(lazy_members(typer.main.get_group(app)))


@pytest.mark.parametrize("words", sorted(MEMBERS))
def test_what_a_group_says_of_a_command_is_what_the_command_says_of_itself(words: str) -> None:
    command = MEMBERS[words].load(words.rsplit(maxsplit=1)[-1])
    assert MEMBERS[words].help == " ".join(command.help.split("\n\n")[0].split())


def test_groups_within_groups_are_seen_by_this_test() -> None:
    assert {"customers enroll", "eval clip", "models calibrate", "twin rtsp"} <= set(MEMBERS)


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        ("--version", HEAVY),
        ("--help", HEAVY),
        ("settings", HEAVY),
        ("models list", HEAVY),
        ("schema", HEAVY - {"numpy"}),
        ("check --help", HEAVY - {"numpy"}),
        ("events schema", SERVICES_ALONE),
        ("topics --help", SERVICES_ALONE | {"sqlalchemy"}),
        ("report --help", REPORTS_ALONE | {"av", "onnxruntime", "openvino", "fastapi"}),
        ("customers list", SERVICES_ALONE | {"confluent_kafka"}),
    ],
)
def test_a_command_does_without_what_it_does_not_need(
    command: str, needless: set[str], tmp_path: Path
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()],
        env={**os.environ, "TRINETRA_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(told.stdout.rpartition("imported ")[2].split())
    assert "trinetra.commands.lazy" in imported
    assert not needless & imported


def test_a_word_that_is_no_command_brings_the_nearest_one_to_mind() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "trinetra.cli", "customrs"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, "customers" in told.stderr) == (2, True)
