"""`trinetra eval clip` names why its counts of a real clip are wrong."""

import json
from pathlib import Path

import pytest
from tests.flows.commands import Commands

from trinetra.commands import evaluate

pytestmark = [pytest.mark.clips, pytest.mark.weights]


@pytest.fixture
def commands() -> Commands:
    return Commands("eval", evaluate.register)


def test_faces_that_are_too_small_are_the_cause_of_unknown_people(
    commands: Commands, clips_dir: Path, models_dir: Path
) -> None:
    """The two people of this clip have faces of 14 to 23 px; recognizable are 32 px and more."""
    clip = clips_dir / "face-demographics-walking.mp4"
    document = json.loads(commands.output("clip", clip, "--persons", 2, "--json"))
    causes = {cause["name"]: cause for cause in document["causes"]}
    assert causes["faces_too_small"]["value"] == 1.0
    assert "faces are smaller than 32 px" in causes["faces_too_small"]["measured"]


def test_right_counts_have_no_cause(
    commands: Commands,
    clips_dir: Path,
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three people walk up to the camera and pause, with faces of 42 to 59 px."""
    monkeypatch.setenv("TRINETRA_STORE_URL", f"sqlite:///{tmp_path}/insights.db")
    clip = clips_dir / "face-demographics-walking-and-pause.mp4"
    text = commands.output("clip", clip, "--persons", 3)
    assert "people recognized (customers)" in text
    assert "likely causes" not in text
    assert not list(tmp_path.iterdir()), "the clip is on record as the shop's own"
