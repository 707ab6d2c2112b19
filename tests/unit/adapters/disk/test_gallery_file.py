"""Tests for gallery archives: contents, and detection of incomplete or damaged files."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from trinetra.adapters.disk import gallery_file
from trinetra.errors import ConfigurationError, StorageFull
from trinetra.values import CustomerId, GalleryEntry, IdentityKind

DIMENSION = 3
instants = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
floats = st.floats(-1e3, 1e3, width=32)
entries = st.builds(
    GalleryEntry,
    entry_id=st.text(min_size=1),
    customer_id=st.text(min_size=1).map(CustomerId),
    kind=st.sampled_from(IdentityKind),
    embedding=st_numpy.arrays(np.float32, DIMENSION, elements=floats).filter(np.linalg.norm),
    quality=st.floats(0, 1),
    first_seen=instants,
    last_seen=instants,
    expires_at=st.none() | instants,
    consent=st.booleans(),
)


def write(path: Path, batches: Sequence[Sequence[GalleryEntry]]) -> None:
    with gallery_file.writing(path, "test/1", DIMENSION) as writer:
        for batch in batches:
            writer.add(batch)


def some(count: int) -> list[GalleryEntry]:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return [
        GalleryEntry(
            f"e{i}",
            CustomerId(f"c{i}"),
            IdentityKind.ENROLLED,
            np.full(DIMENSION, i + 1, np.float32),
            0.5,
            noon,
            noon + timedelta(seconds=i),
            None,
            consent=True,
        )
        for i in range(count)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.lists(entries, max_size=4), max_size=4))
def test_a_file_gives_back_exactly_what_was_written(
    tmp_path: Path, batches: list[list[GalleryEntry]]
) -> None:
    path = tmp_path / "faces"
    write(path, batches)

    given = [entry for batch in batches for entry in batch]
    contents = gallery_file.check(path)
    read = [entry for batch in gallery_file.read(path) for entry in batch]

    assert contents == gallery_file.Contents("test/1", DIMENSION, len(given))
    assert len(read) == len(given)
    for was, now in zip(given, read, strict=True):
        assert (now.embedding == was.embedding).all()
        assert replace(now, embedding=was.embedding) == was


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "faces"
    left_behind = tmp_path / "faces.part"
    left_behind.touch(0o644)
    write(path, [some(1)])

    assert path.stat().st_mode & 0o777 == 0o600
    assert not left_behind.exists()


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "faces"
    with gallery_file.writing(path, "test/1", DIMENSION) as writer:
        writer.add(some(2))
        assert not path.exists()

    assert path.exists()


def test_of_a_file_that_could_not_be_completed_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="embedding"):
        write(tmp_path / "faces", [some(2), [replace(some(1)[0], embedding=np.zeros(DIMENSION))]])

    assert list(tmp_path.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_file_that_was_cut_short_anywhere_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "faces"
    write(path, [some(3), some(2)])
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])

    with pytest.raises(ConfigurationError, match="cannot be used"):
        gallery_file.check(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.data())
def test_a_file_with_any_bit_changed_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "faces"
    write(path, [some(3)])
    whole = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)

    with pytest.raises(ConfigurationError, match="cannot be used"):
        gallery_file.check(path)


def test_a_file_that_is_something_else_is_refused_and_so_is_none(tmp_path: Path) -> None:
    other = tmp_path / "holiday.jpg"
    other.write_bytes(b"\xff\xd8\xff\xe0" * 100)

    with pytest.raises(ConfigurationError, match="not written by"):
        gallery_file.check(other)
    with pytest.raises(ConfigurationError, match="No such file"):
        gallery_file.check(tmp_path / "nothing")


def test_a_file_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write(tmp_path / "nowhere" / "faces", [])


def test_a_full_disk_is_told_and_nothing_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)

    with pytest.raises(StorageFull, match="no space left"):
        write(tmp_path / "faces", [some(3)])
    assert list(tmp_path.iterdir()) == []
