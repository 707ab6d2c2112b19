"""A platform whose optional networks cannot be had runs without them, and says so once."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from trinetra.errors import ModelUnavailable
from trinetra.models.manifest import Profile, RemoteFile, UrlSource, Weights, profile
from trinetra.settings import Settings
from trinetra.wiring.profiles import ensure_models, missing_models, missing_note

GRAPH, WEIGHTS = b"<net/>", b"numbers"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "models").mkdir()
    return {"models_dir": tmp_path / "models", "cache_dir": tmp_path / "cache"}


@pytest.fixture
def networks(places: dict[str, Path], unused_port: int, digest) -> Profile:
    """Return a profile whose required networks are here, and whose optional one is nowhere."""
    declared = profile("default")
    for model in declared.required:
        (places["models_dir"] / model.file).write_bytes(b"the user's own")
    own = {
        role: replace(getattr(declared, role), sha256=())
        for role in ("detector", "face_finder", "face_embedder")
    }
    name = "body.xml"
    remote = RemoteFile(
        url=f"http://127.0.0.1:{unused_port}/{name}", name=name, sha256=digest(GRAPH), size_bytes=9
    )
    body = replace(
        declared.body_embedder,
        file=name,
        sha256=(digest(GRAPH),),
        weights=Weights(sha256=digest(WEIGHTS), size_bytes=len(WEIGHTS)),
        source=(UrlSource(files=(remote,)),),
    )
    return replace(declared.without_plates(), body_embedder=body, role_detectors={}, **own)


def test_a_network_that_cannot_be_had_is_left_out_and_named_in_one_note(
    networks, places, progress
) -> None:
    files = ensure_models(networks, Settings(**places), progress)
    assert set(files) == {model.name for model in networks.required}
    [note] = progress.notes
    assert f"running without {networks.body_embedder.name}: results are less accurate" in note
    assert "TRINETRA_MODELS_DIR" in note


def test_a_network_that_is_here_is_used_and_nothing_is_said(networks, places, progress) -> None:
    (places["models_dir"] / "omz").mkdir()
    path = places["models_dir"] / "omz" / "body.xml"
    path.write_bytes(GRAPH)
    path.with_suffix(".bin").write_bytes(WEIGHTS)
    files = ensure_models(networks, Settings(**places), progress)
    assert files[networks.body_embedder.name] == path
    assert progress.notes == []
    assert missing_models(networks, Settings(**places)) == {}


def test_a_check_names_the_missing_network_and_how_to_get_it(networks, places) -> None:
    missing = missing_models(networks, Settings(**places))
    assert list(missing) == [networks.body_embedder.name]
    assert networks.body_embedder.obtain in missing_note(missing)


def test_an_engine_that_cannot_read_the_network_does_without_it(networks, places, progress) -> None:
    ensure_models(networks, Settings(**places, backend="onnxruntime"), progress)
    [note] = progress.notes
    assert "is an OpenVINO IR, which TRINETRA_BACKEND=onnxruntime cannot read" in note


def test_a_required_network_is_still_required(networks, places, progress) -> None:
    (places["models_dir"] / networks.detector.file).unlink()
    broken = replace(networks, detector=replace(networks.detector, source=()))
    with pytest.raises(ModelUnavailable, match=networks.detector.name):
        ensure_models(broken, Settings(**places), progress)
