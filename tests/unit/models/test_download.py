"""Downloads over connections that break, from servers that lie or do not answer."""

import itertools
from pathlib import Path

import pytest

from trinetra.errors import StorageFull
from trinetra.models.download import part_of
from trinetra.models.storage import SourceFailed

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "weights.bin"


@pytest.fixture
def remote(site):
    site.files["weights.bin"] = CONTENT
    return site.remote("weights.bin")


def test_a_file_arrives_and_its_part_is_gone(remote, target, downloader, progress) -> None:
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()
    assert progress.begun == [("weights.bin", len(CONTENT))]
    assert progress.reached == {"weights.bin": len(CONTENT)}
    assert progress.ended == ["weights.bin"]


def test_a_cut_connection_is_resumed_where_it_broke(
    site, answer, remote, target, downloader, progress
) -> None:
    site.answers = [answer(cut_after=4000), answer(cut_after=1000)]
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert [wanted for _name, wanted in site.asked] == [None, "bytes=4000-", "bytes=5000-"]


def test_a_part_of_an_earlier_run_is_continued(site, remote, target, downloader, progress) -> None:
    part_of(target).write_bytes(CONTENT[:7000])
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert site.asked == [("weights.bin", "bytes=7000-")]


def test_a_complete_part_of_an_earlier_run_is_used(
    site, remote, target, downloader, progress
) -> None:
    part_of(target).write_bytes(CONTENT)
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert site.asked == [("weights.bin", f"bytes={len(CONTENT)}-")]


def test_a_server_without_ranges_sends_the_whole_file_again(
    site, answer, remote, target, downloader, progress
) -> None:
    part_of(target).write_bytes(CONTENT[:7000])
    site.answers = [answer(ignore_range=True)]
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(site, remote, target, downloader, progress) -> None:
    part_of(target).write_bytes(b"something else")
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert [wanted for _name, wanted in site.asked] == ["bytes=14-", None]
    assert "downloading it again" in progress.notes[0]


def test_a_file_that_is_here_already_is_not_asked_for(
    site, remote, target, downloader, progress
) -> None:
    target.write_bytes(CONTENT)
    downloader.fetch(remote, target, progress)
    assert site.asked == []


def test_a_busy_server_is_asked_again_after_growing_waits(
    site, answer, remote, target, downloader, progress, waits
) -> None:
    site.answers = [answer(status=503), answer(status=429), answer(status=500)]
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(waits))
    assert len(waits) == 3


def test_a_server_that_stays_busy_is_given_up(
    site, answer, remote, target, downloader, progress
) -> None:
    site.answers = [answer(status=503) for _ in range(9)]
    with pytest.raises(SourceFailed, match="503; gave up after 4 attempts"):
        downloader.fetch(remote, target, progress)
    assert len(site.asked) == 4


def test_progress_between_cuts_starts_the_count_anew(
    site, answer, remote, target, downloader, progress
) -> None:
    site.answers = [answer(cut_after=1000) for _ in range(8)]
    downloader.fetch(remote, target, progress)
    assert target.read_bytes() == CONTENT


def test_a_missing_file_fails_at_once(site, answer, remote, target, downloader, progress) -> None:
    site.answers = [answer(status=404)]
    with pytest.raises(SourceFailed, match="HTTP status 404"):
        downloader.fetch(remote, target, progress)
    assert len(site.asked) == 1


def test_another_file_than_the_declared_one_is_set_aside(
    site, remote, target, downloader, progress
) -> None:
    site.files["weights.bin"] = CONTENT[::-1]
    with pytest.raises(SourceFailed, match="not the declared file"):
        downloader.fetch(remote, target, progress)
    assert not target.exists()
    assert not part_of(target).exists()
    assert part_of(target).with_name("weights.bin.part.damaged").read_bytes() == CONTENT[::-1]


def test_more_bytes_than_declared_are_refused_before_they_fill_the_disk(
    site, remote, target, downloader, progress
) -> None:
    site.files["weights.bin"] = CONTENT * 100
    with pytest.raises(SourceFailed, match="longer than the allowed 10240 bytes"):
        downloader.fetch(remote, target, progress)


def test_a_host_that_cannot_be_reached_is_tried_once(
    unused_port, site, target, downloader, progress
) -> None:
    site.url = f"http://127.0.0.1:{unused_port}"
    remote = site.remote("weights.bin", CONTENT)
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1 cannot be reached"):
        downloader.fetch(remote, target, progress)
    with pytest.raises(SourceFailed, match="could not be reached earlier"):
        downloader.fetch(remote, target, progress)
    assert len(progress.begun) == 1


def test_a_full_disk_says_so(remote, target, downloader, progress) -> None:
    part_of(target).symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="TRINETRA_CACHE_DIR"):
        downloader.fetch(remote, target, progress)


def test_an_unusable_proxy_does_not_show_its_password(
    site, remote, target, downloader, progress, monkeypatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://user:hunter2@127.0.0.1:1")
    with pytest.raises(SourceFailed, match="proxy settings") as failure:
        downloader.fetch(remote, target, progress)
    assert "hunter2" not in str(failure.value)
