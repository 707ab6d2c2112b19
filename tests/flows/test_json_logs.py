"""With JSON logs, standard error holds nothing but JSON lines, whatever a command has to say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trinetra import __version__

SITE = """
site: shop
timezone: Europe/Berlin
cameras:
  - id: door
    role: tracking
    source: {file: CLIP}
"""


def command(folder: Path, *arguments: str, **environ: str) -> tuple[str, list[dict[str, Any]]]:
    """Run a command with JSON logs; return standard output, and standard error parsed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRINETRA_")}
    settings = {"TRINETRA_LOG_JSON": "true", "TRINETRA_DATA_DIR": str(folder / "data"), **environ}
    done = subprocess.run(
        [sys.executable, "-m", "trinetra.cli", *arguments],
        env=kept | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("arguments", [["run", "none.yaml"], ["ingest", "--site", "none.yaml"]])
def test_a_failure_is_a_log_entry(tmp_path: Path, arguments: list[str]) -> None:
    shared = {"TRINETRA_FRAME_BUFFER": "redis", "TRINETRA_EVENT_LOG": "kafka"}
    output, lines = command(tmp_path, *arguments, **shared)
    assert output == ""
    assert [(line["event"], line["level"]) for line in lines] == [("failed", "error")]
    assert "none.yaml" in lines[0]["error"]


@pytest.mark.clips
@pytest.mark.weights
def test_a_run_prints_no_table_and_tells_its_life(
    tmp_path: Path, clips_dir: Path, models_dir: Path
) -> None:
    clip = clips_dir / "people-detection.mp4"
    (tmp_path / "site.yaml").write_text(SITE.replace("CLIP", str(clip)), encoding="utf-8")
    models = {"TRINETRA_MODELS_DIR": str(models_dir), "TRINETRA_EMBEDDED_PORT": "0"}
    output, lines = command(tmp_path, "run", "site.yaml", **models)
    assert output == ""
    events = [line["event"] for line in lines]
    # A short clip may be over before all services have been seen to be ready.
    order = [e for e in events if e in {"started", "summary", "stopped"}]
    assert order == ["started", "stopped", "summary"]
    assert lines[events.index("started")]["version"] == __version__
    assert lines[events.index("summary")]["cameras"]["door"]["frames_read"] > 0
