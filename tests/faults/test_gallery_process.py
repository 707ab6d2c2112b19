"""What the embedded gallery does when processes are killed, hung, locked out or out of disk."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from trinetra.adapters.qdrant_edge.gallery import EdgeGallery, GalleryTimeouts, collection_folder
from trinetra.adapters.qdrant_edge.protocol import GalleryTuning
from trinetra.errors import ConfigurationError, GalleryUnavailable, StorageFull
from trinetra.values import CustomerId, Embedding, GalleryEntry, IdentityKind

DIMENSION = 64
MODEL = "test/1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KILLS = 4

PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_gallery_process import entry, opened

async def main():
    async with opened(Path(sys.argv[1])) as gallery:
        print(gallery.process_id, flush=True)
        for number in range(100_000):
            await gallery.upsert([entry(number)])
            print(number, flush=True)

asyncio.run(main())
"""


def face(number: int) -> Embedding:
    return np.random.default_rng(number).standard_normal(DIMENSION).astype(np.float32)


def entry(number: int) -> GalleryEntry:
    return GalleryEntry(
        entry_id=f"e{number}",
        customer_id=CustomerId(f"c{number}"),
        kind=IdentityKind.ANONYMOUS,
        embedding=face(number),
        quality=0.9,
        first_seen=NOON,
        last_seen=NOON,
        expires_at=None,
        consent=False,
    )


def opened(folder: Path, tuning: GalleryTuning | None = None, **timeouts: float):
    return EdgeGallery.open(
        folder,
        model_version=MODEL,
        dimension=DIMENSION,
        tuning=tuning,
        timeouts=GalleryTimeouts(**timeouts),
    )


async def found_of(gallery: EdgeGallery, numbers: Iterable[int]) -> set[int]:
    numbers = list(numbers)
    found = await gallery.search([face(n) for n in numbers], 1)
    return {n for n, [m] in zip(numbers, found, strict=True) if m.entry_id == f"e{n}"}


def wait_for_exit(process_id: int) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process_id)
        try:
            select.select([handle], [], [])
        finally:
            os.close(handle)


def corrupt(folder: Path, name: str) -> None:
    for path in folder.rglob(name):
        path.write_bytes(b"\xff" * 64)


def child_of(gallery: EdgeGallery) -> int:
    process_id = gallery.process_id
    assert process_id is not None
    return process_id


async def test_a_killed_child_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    # The index is built under way, so that kills also hit a child that is building it.
    tuning = GalleryTuning(index_after=300, index_at_latest=300, flush_interval_s=0.02)
    acknowledged: set[int] = set()
    doomed: set[int] = set()  # a delete that was not acknowledged may have happened
    deleted: set[int] = set()
    numbers = iter(range(1_000_000))

    async def load(gallery: EdgeGallery) -> None:
        while True:
            some = [next(numbers) for _ in range(5)]
            with suppress(GalleryUnavailable):
                await gallery.upsert([entry(n) for n in some])
                acknowledged.update(some)
                doomed.add(some[0])
                await gallery.delete(CustomerId(f"c{some[0]}"))
                deleted.add(some[0])
            await gallery.wait_ready()

    async def kill_often(gallery: EdgeGallery) -> None:
        for kill in range(1, KILLS + 1):
            while len(acknowledged) < kill * 500:
                await gallery.count()
            os.kill(child_of(gallery), signal.SIGKILL)
            await asyncio.gather(gallery.count(), return_exceptions=True)
            await gallery.wait_ready()

    async with opened(tmp_path, tuning) as gallery:
        loads = [asyncio.create_task(load(gallery)) for _ in range(4)]
        await kill_often(gallery)
        for task in loads:
            task.cancel()
        await asyncio.wait(loads)
    async with opened(tmp_path, tuning) as gallery:
        present = await found_of(gallery, acknowledged | deleted)

    assert len(acknowledged) >= KILLS * 500
    assert acknowledged - doomed <= present
    assert not deleted & present


async def test_a_killed_parent_loses_nothing_and_leaves_no_child(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    with subprocess.Popen(  # noqa: ASYNC220 - its output paces this test, which does nothing else
        [sys.executable, "-c", PARENT, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child_id = int(parent.stdout.readline())
        acknowledged = [int(parent.stdout.readline()) for _ in range(300)]
        parent.kill()
        acknowledged += [int(line) for line in parent.stdout.read().split()]
    wait_for_exit(child_id)

    async with opened(tmp_path) as gallery:
        assert await found_of(gallery, acknowledged) == set(acknowledged)


async def test_a_request_in_flight_fails_when_the_child_is_killed_and_then_it_recovers(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as gallery:
        await gallery.upsert([entry(1)])
        child_id = child_of(gallery)
        os.kill(child_id, signal.SIGSTOP)
        searches = [asyncio.create_task(gallery.search([face(1)], 1)) for _ in range(3)]
        await asyncio.wait(searches, timeout=0)
        os.kill(child_id, signal.SIGKILL)
        outcomes = await asyncio.gather(*searches, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [GalleryUnavailable] * 3
        assert all("SIGKILL" in str(outcome) for outcome in outcomes)
        await gallery.wait_ready()
        assert child_of(gallery) != child_id
        assert await found_of(gallery, [1]) == {1}


async def test_a_request_while_the_child_is_away_fails_at_once_and_says_why(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as gallery:
        os.kill(child_of(gallery), signal.SIGKILL)
        await asyncio.gather(gallery.count(), return_exceptions=True)
        with pytest.raises(GalleryUnavailable, match="SIGKILL"):
            await gallery.count()
        await gallery.wait_ready()


async def test_a_hung_child_times_out_and_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path, request_s=0.5, hung_s=0.2) as gallery:
        await gallery.upsert([entry(1)])
        child_id = child_of(gallery)
        os.kill(child_id, signal.SIGSTOP)
        with pytest.raises(GalleryUnavailable, match="did not answer Search within"):
            await gallery.search([face(1)], 1)
        wait_for_exit(child_id)
        await asyncio.gather(gallery.count(), return_exceptions=True)
        await gallery.wait_ready()
        assert await found_of(gallery, [1]) == {1}


async def test_a_child_that_hangs_in_a_purge_is_replaced_and_the_purge_fails(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, request_s=0.5, hung_s=0.2) as gallery:
        await gallery.upsert([entry(1)])
        child_id = child_of(gallery)
        os.kill(child_id, signal.SIGSTOP)
        purging = asyncio.create_task(gallery.purge())
        await asyncio.sleep(0)  # so that it is asked before the search
        with pytest.raises(GalleryUnavailable, match="did not answer Search within"):
            await gallery.search([face(1)], 1)
        with pytest.raises(GalleryUnavailable, match="SIGKILL"):
            await purging
        await gallery.wait_ready()
        assert await found_of(gallery, [1]) == {1}


async def test_a_slow_answer_fails_its_request_but_not_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path, request_s=0.5, hung_s=60.0) as gallery:
        child_id = child_of(gallery)
        os.kill(child_id, signal.SIGSTOP)
        with pytest.raises(GalleryUnavailable, match="did not answer"):
            await gallery.count()
        os.kill(child_id, signal.SIGCONT)
        assert await gallery.count() == 0
        assert child_of(gallery) == child_id


async def test_signals_for_the_whole_group_do_not_stop_the_child(tmp_path: Path) -> None:
    async with opened(tmp_path) as gallery:
        child_id = child_of(gallery)
        os.kill(child_id, signal.SIGINT)
        os.kill(child_id, signal.SIGTERM)
        assert await gallery.count() == 0
        assert child_of(gallery) == child_id


async def test_closing_ends_the_child(tmp_path: Path) -> None:
    async with opened(tmp_path) as gallery:
        child_id = child_of(gallery)

    with pytest.raises(ProcessLookupError):
        os.kill(child_id, 0)
    with pytest.raises(GalleryUnavailable, match="closed"):
        await gallery.count()


async def test_closing_while_the_child_is_dead_is_no_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as gallery:
        os.kill(child_of(gallery), signal.SIGKILL)


async def test_an_error_in_the_caller_passes_through_and_still_closes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(tmp_path):
            raise ZeroDivisionError
    async with opened(tmp_path, lock_s=0.1) as gallery:
        assert await gallery.count() == 0


async def test_one_folder_cannot_be_opened_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        with pytest.raises(ConfigurationError, match=f"process {os.getpid()} has it open"):
            async with opened(tmp_path, lock_s=0.1):
                pass
        assert await first.count() == 0


async def test_model_versions_live_side_by_side(tmp_path: Path) -> None:
    async with opened(tmp_path) as first:
        await first.upsert([entry(1)])
        async with EdgeGallery.open(tmp_path, model_version="test_1", dimension=3) as second:
            assert await second.count() == 0


async def test_another_dimension_under_the_same_version_is_a_configuration_error(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as gallery:
        await gallery.upsert([entry(1)])
    with pytest.raises(ConfigurationError, match="another embedding size"):
        async with EdgeGallery.open(tmp_path, model_version=MODEL, dimension=DIMENSION + 1):
            pass


@pytest.mark.parametrize("victim", ["edge_config.json", "segment.json", "first-index"])
async def test_a_corrupt_folder_is_named_with_what_to_do(tmp_path: Path, victim: str) -> None:
    async with opened(tmp_path) as gallery:
        await gallery.upsert([entry(1)])
    corrupt(tmp_path, victim)

    with pytest.raises(GalleryUnavailable, match="move this folder away") as caught:
        async with opened(tmp_path):
            pass
    assert str(collection_folder(tmp_path, MODEL)) in str(caught.value)


async def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    collection_folder(tmp_path, MODEL).write_text("not a folder")

    with pytest.raises(GalleryUnavailable, match="File exists"):
        async with opened(tmp_path):
            pass


async def test_a_full_disk_refuses_writes_and_still_finds(tmp_path: Path) -> None:
    async with opened(tmp_path) as gallery:
        await gallery.upsert([entry(1)])
    reserve = 2 * shutil.disk_usage(tmp_path).free
    async with opened(tmp_path, GalleryTuning(reserve_bytes=reserve)) as gallery:
        with pytest.raises(StorageFull, match="free some space"):
            await gallery.upsert([entry(2)])
        assert await found_of(gallery, [1, 2]) == {1}
        assert await gallery.delete(CustomerId("c1")) == 1


async def test_a_disk_too_full_to_open_is_storage_full(tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="are required"):
        async with opened(tmp_path, GalleryTuning(reserve_bytes=1 << 60)):
            pass


async def test_a_child_that_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    async with opened(tmp_path, backoff_first_s=0.01, backoff_most_s=0.02) as gallery:
        await gallery.upsert([entry(1)])
        folder, aside = collection_folder(tmp_path, MODEL), tmp_path / "aside"
        folder.rename(aside)
        folder.write_text("in the way")
        os.kill(child_of(gallery), signal.SIGKILL)
        reasons = ""
        while "File exists" not in reasons:
            [outcome] = await asyncio.gather(gallery.count(), return_exceptions=True)
            reasons += str(outcome)
        folder.unlink()
        aside.rename(folder)
        await gallery.wait_ready()
        assert await found_of(gallery, [1]) == {1}


async def test_a_cancelled_request_leaves_the_gallery_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as gallery:
        task = asyncio.create_task(gallery.count())
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])
        await gallery.upsert([entry(1)])
        assert await gallery.count() == 1
