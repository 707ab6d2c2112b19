"""Tests for the background duties of the embedded gallery's process."""

import time

import pytest

from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.adapters.qdrant_edge.worker import Server


class Deleted:
    """A shard with a deletion some time ago."""

    unindexed = 0
    is_rewriting = False

    def __init__(self, ago_s: float) -> None:
        self.deleted_at = time.time() - ago_s


@pytest.mark.parametrize(("ago_s", "is_due"), [(50, False), (150, False), (250, True)])
def test_deleted_data_is_purged_after_twice_the_time_even_if_never_idle(
    ago_s: float, is_due: bool
) -> None:
    tuning = GalleryTuning(purge_after_s=100.0, idle_s=1e9)
    server = Server(Deleted(ago_s), tuning, None, -1)
    assert (server._seconds_to_next_duty() == 0) == is_due
