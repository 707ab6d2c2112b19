"""A cache of compiled networks saves time, and can do no harm."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trinetra.adapters.inference import openvino
from trinetra.adapters.inference.compiled_cache import CompiledNetworkCache

NETWORKS = [
    ("nanodet_g_416.onnx", (3, 416, 416)),
    ("yunet_2023mar_dyn.onnx", (3, 96, 160)),
    ("fr_feature_dyn.onnx", (3, 112, 112)),
]
NAME, SHAPE = NETWORKS[2]


def outputs(path: Path, shape: tuple[int, ...], cache_dir: Path | None) -> list[Any]:
    """Return what a newly loaded engine makes of three rows: pieces of two and of one."""
    batch = np.random.default_rng(1).random((3, *shape), np.float32)
    return openvino.load(path, threads=1, cache_dir=cache_dir).run(batch)


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the input shapes that are compiled during the test."""
    shapes = []
    compile_ = openvino.OpenVinoEngine._compile

    def counted(engine: openvino.OpenVinoEngine, shape: tuple[int, ...]) -> Any:
        shapes.append(shape)
        return compile_(engine, shape)

    monkeypatch.setattr(openvino.OpenVinoEngine, "_compile", counted)
    return shapes


@pytest.mark.weights
@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_a_network_from_the_cache_gives_the_very_same_outputs(
    name: str,
    shape: tuple[int, ...],
    models_dir: Path,
    tmp_path: Path,
    compilations: list[tuple[int, ...]],
) -> None:
    without = outputs(models_dir / name, shape, None)
    cold = outputs(models_dir / name, shape, tmp_path)
    compilations.clear()
    warm = outputs(models_dir / name, shape, tmp_path)
    assert not compilations
    assert same(without, cold)
    assert same(without, warm)


@pytest.mark.weights
@pytest.mark.parametrize("damage", [b"", b"\0" * 1000, None])
def test_a_damaged_entry_is_compiled_again_and_replaced(
    damage: bytes | None, models_dir: Path, tmp_path: Path, compilations: list[tuple[int, ...]]
) -> None:
    before = outputs(models_dir / NAME, SHAPE, tmp_path)
    for entry in tmp_path.iterdir():
        content = bytearray(entry.read_bytes())
        content[len(content) // 2] ^= 1
        entry.write_bytes(content if damage is None else damage)
    compilations.clear()
    assert same(before, outputs(models_dir / NAME, SHAPE, tmp_path))
    assert len(compilations) == 2
    assert same(before, outputs(models_dir / NAME, SHAPE, tmp_path))
    assert len(compilations) == 2


@pytest.mark.weights
def test_what_openvino_refuses_is_compiled_again(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outputs(models_dir / NAME, SHAPE, None)
    monkeypatch.setattr(CompiledNetworkCache, "read", lambda *_: b"no network")
    assert same(before, outputs(models_dir / NAME, SHAPE, tmp_path))


@pytest.mark.weights
def test_without_a_place_to_write_an_engine_runs_all_the_same(
    models_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    before = outputs(models_dir / NAME, SHAPE, None)
    assert same(before, outputs(models_dir / NAME, SHAPE, tmp_path / "file" / "cache"))


def test_only_the_owner_may_look_into_the_cache(tmp_path: Path) -> None:
    CompiledNetworkCache(tmp_path / "cache").write("net", "v1", b"compiled")
    [entry] = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_an_entry_of_another_origin_is_neither_read_nor_kept(tmp_path: Path) -> None:
    cache = CompiledNetworkCache(tmp_path)
    cache.write("net", "v1", b"one")
    assert cache.read("net", "v2") is None
    cache.write("net", "v2", b"two")
    cache.write("network", "v1", b"another")
    assert cache.read("net", "v1") is None
    assert cache.read("net", "v2") == b"two"
    assert cache.read("network", "v1") == b"another"
