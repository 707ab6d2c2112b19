"""`trinetra models list` says where every network is, under whose terms, and by which digest."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trinetra.commands.application import app
from trinetra.models.manifest import load_manifest, profile


def test_the_list_says_of_each_network_whether_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRINETRA_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("TRINETRA_CACHE_DIR", str(tmp_path / "cache"))
    own, wrong = profile("reference").detector, profile("default").face_finder
    (tmp_path / own.file).write_bytes(b"an export of the user's")
    (tmp_path / wrong.file).write_bytes(b"another network")
    done = CliRunner().invoke(app, ["models", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == [model.name for model in load_manifest().model]
    assert (rows[own.name]["here"], rows[own.name]["path"]) == ("yes", str(tmp_path / own.file))
    assert rows[wrong.name]["here"] == "wrong"
    assert "is not the declared file" in rows[wrong.name]["problem"]
    body = profile("default").body_embedder
    assert rows[body.name]["here"] == "fetch"
    assert rows[body.name]["profiles"] == ["default", "accurate", "reference"]
    assert rows[body.name]["licence"] == "Apache-2.0"
    assert rows[body.name]["weights_sha256"] == body.weights.sha256
    assert rows[body.name]["size_bytes"] == body.size_bytes + body.weights.size_bytes
    assert rows["nanodet-g-416-int8"]["here"] == "no"
