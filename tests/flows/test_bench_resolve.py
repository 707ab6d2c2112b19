"""The resolver benchmark measures the resolver that production runs."""

from pathlib import Path

import pytest

from trinetra.benchmarks import resolve
from trinetra.settings import Settings
from trinetra.streaming.runner import StreamRunner
from trinetra.wiring import assembly

LIVE = ["MergeJob", "CustomerSync", "RegistryReplica", "RetiredGalleries", "ErasureHandler"]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[StreamRunner]:
    """Return the resolvers that wiring builds from now on."""
    built: list[StreamRunner] = []
    original = assembly.resolver

    def noting(*arguments: object, **more: object) -> StreamRunner:
        built.append(original(*arguments, **more))
        return built[-1]

    monkeypatch.setattr(assembly, "resolver", noting)
    return built


def test_it_runs_every_background_task_of_a_live_resolver(
    tmp_path: Path, measured: list[StreamRunner]
) -> None:
    figures = resolve.run(Settings(data_dir=tmp_path), 1_000, gallery_size=10)
    assert figures["events"] == 1_000
    assert figures["memory_events_per_s"] > 0
    assert figures["memory_tracks_p50_ms"] <= figures["memory_tracks_p99_ms"]
    [resolver] = measured
    assert [type(task).__name__ for task in resolver._tasks] == LIVE
    assert list(tmp_path.iterdir()) == []  # it works in its own folder
