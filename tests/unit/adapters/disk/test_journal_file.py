"""What the journal keeps on disk, and what it does not."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.disk import segmented_log
from trinetra.adapters.disk.framing import encode_frame
from trinetra.adapters.disk.journal_file import JournalFolder, read_journal, read_topic
from trinetra.adapters.disk.journal_format import (
    Entry,
    decode_entries,
    decode_span,
    encode_block,
    span_of,
)
from trinetra.errors import ConfigurationError

T0 = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOUR_S, DAY_S = 3600.0, 86_400.0
LIMIT = 1 << 24
Open = Callable[..., JournalFolder]


def entry(seconds: float, number: int = 0, topic: str = "a", value: bytes = b"") -> Entry:
    at = T0 + timedelta(seconds=seconds)
    return Entry(at, topic, 0, number, "key", value or str(number).encode())


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    folders = []

    def opening(max_bytes: int = LIMIT, kept_s: float = DAY_S) -> JournalFolder:
        kept = {"a": kept_s, "b": kept_s}
        folders.append(JournalFolder(tmp_path / "j", max_bytes=max_bytes, retention_s=kept))
        return folders[-1]

    yield opening
    for folder in folders:
        folder.close()


def frame(entries: list[Entry]) -> bytes:
    span = span_of(entries)
    return encode_frame(span.last_us, encode_block(entries, span))


def read(folder: JournalFolder, since_s: float = 0, until_s: float | None = None) -> list[int]:
    until = None if until_s is None else T0 + timedelta(seconds=until_s)
    since = T0 + timedelta(seconds=since_s)
    return [e.offset for e in read_journal(folder.folder, ("a", "b"), since=since, until=until)]


def segments(folder: JournalFolder, topic: str = "a") -> list[Path]:
    return sorted((folder.folder / topic).iterdir())


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 2)),  # noqa: DTZ001
        st.text(max_size=5),
        st.integers(0, 7),
        st.integers(0, 1 << 60),
        st.text(max_size=5),
        st.binary(max_size=50),
    ),
    min_size=1,
    max_size=6,
)


@given(ENTRIES)
def test_every_block_is_read_as_it_was_written(written: list[Entry]) -> None:
    span = span_of(written)
    block = encode_block(written, span)
    assert decode_entries(block) == written
    assert decode_span(block) == span


def test_a_window_of_time_is_read_in_order_over_topics_and_hours(opened: Open) -> None:
    folder = opened()
    for hour in range(5):
        for topic in ("a", "b"):
            first = hour * 10 + (topic == "b")
            rows = [entry(hour * HOUR_S + n, first + n, topic) for n in range(0, 10, 2)]
            folder.append(topic, rows)
    assert len(segments(folder)) == 5
    assert read(folder, 2 * HOUR_S, 4 * HOUR_S) == sorted(range(20, 40), key=lambda n: n // 2)
    assert read(folder, 4 * HOUR_S + 8) == [48, 49]
    assert read(folder, 5 * HOUR_S) == []


def test_what_a_process_wrote_is_there_for_the_next(opened: Open) -> None:
    first = opened()
    first.append("a", [entry(0, 1)])
    first.close()
    second = opened()
    second.append("a", [entry(1, 2)])
    assert read(second) == [1, 2]


def test_two_processes_do_not_write_one_journal(opened: Open) -> None:
    opened()
    with pytest.raises(ConfigurationError, match=f"in use: process {os.getpid()}") as failure:
        opened()
    assert str(failure.value).endswith("or give each its own TRINETRA_DATA_DIR")


def test_a_write_that_a_crash_broke_off_is_cut(opened: Open) -> None:
    folder = opened()
    folder.append("a", [entry(0, 1)])
    folder.close()
    path = segments(folder)[0]
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(frame([entry(1, 2)])[:-1])
    again = opened()
    assert path.stat().st_size == whole
    again.append("a", [entry(2, 3)])
    assert read(again) == [1, 3]


def test_a_full_disk_leaves_nothing_of_what_it_refused(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened()
    folder.append("a", [entry(0, 1)])

    def half(file: int, data: bytes) -> None:
        os.write(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(segmented_log, "write_all", half)
        with pytest.raises(OSError, match="No space"):
            folder.append("a", [entry(1, 2)])
    folder.append("a", [entry(2, 3)])
    assert read(folder) == [1, 3]


def test_records_are_deleted_within_the_hour_after_their_retention(opened: Open) -> None:
    folder = opened(kept_s=DAY_S)
    folder.append("a", [entry(0, 1)])
    folder.append("a", [entry(HOUR_S, 2)])
    assert folder.prune(T0 + timedelta(seconds=DAY_S)) == {"age": 0, "size": 0}
    assert folder.prune(T0 + timedelta(seconds=DAY_S + HOUR_S)) == {"age": 1, "size": 0}
    assert read(folder) == [2]
    assert folder.prune(T0 + timedelta(days=3))["age"] == 1  # nobody has begun a next one
    assert segments(folder) == []
    folder.append("a", [entry(4 * DAY_S, 3)])
    assert read(folder) == [3]


def test_of_too_much_the_oldest_goes_first_whatever_its_topic(opened: Open) -> None:
    folder = opened(max_bytes=300_000)
    for hour in range(6):
        topic = "ab"[hour % 2]
        folder.append(topic, [entry(hour * HOUR_S, hour, topic, os.urandom(70_000))])
    assert folder.prune(T0)["size"] == 2
    assert folder.bytes <= 300_000
    assert read(folder) == [2, 3, 4, 5]


def test_segments_stay_small_enough_to_be_deleted_one_by_one(opened: Open) -> None:
    folder = opened(max_bytes=1 << 20)
    for number in range(20):
        folder.append("a", [entry(number, number, value=os.urandom(100_000))])
    folder.prune(T0)
    assert 0.8 * (1 << 20) < folder.bytes <= 1 << 20


def test_a_clock_that_runs_backwards_breaks_no_order(opened: Open) -> None:
    folder = opened(max_bytes=1 << 20)
    moments = [0, 3 * HOUR_S, HOUR_S, 2 * HOUR_S, 4 * HOUR_S]
    for number, seconds in enumerate(moments):
        folder.append("a", [entry(seconds, number, value=os.urandom(70_000))])
    assert read(folder) == [0, 1, 2, 3, 4]
    assert read(folder, 2.5 * HOUR_S) == [1, 4]


@pytest.mark.parametrize("ahead_s", [5 * HOUR_S, 3650 * DAY_S])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_once_ahead_keeps_nothing_for_longer(
    opened: Open, ahead_s: float, restarts: bool
) -> None:
    folder = opened(kept_s=DAY_S)
    folder.append("a", [entry(ahead_s, 1)])
    for hour in range(60):
        if restarts and hour % 7 == 0:
            folder.close()
            folder = opened(kept_s=DAY_S)
        folder.append("a", [entry(hour * HOUR_S, 100 + hour)])
        folder.prune(T0 + timedelta(hours=hour))
    since_s = -DAY_S
    assert read(folder, since_s) == list(range(135, 160))


def test_a_clock_that_was_once_behind_costs_nothing_that_is_not_old(opened: Open) -> None:
    folder = opened(kept_s=DAY_S)
    for number, seconds in enumerate([0, -3650 * DAY_S, HOUR_S]):
        folder.append("a", [entry(seconds, number)])
    assert folder.prune(T0 + timedelta(hours=1))["age"] == 1
    assert read(folder, -4000 * DAY_S) == [0, 2]


def test_only_the_owner_may_look_in(opened: Open) -> None:
    folder = opened()
    folder.append("a", [entry(0)])
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(segments(folder)[0].stat().st_mode) == 0o600


def test_rewriting_leaves_no_byte_of_what_was_dropped_and_all_of_the_rest(opened: Open) -> None:
    folder = opened()
    secret = os.urandom(64)  # not to be found by chance, nor to be compressed
    for hour in range(3):
        folder.append("a", [entry(hour * HOUR_S, hour, value=secret), entry(hour * HOUR_S, 9)])
    folder.append("b", [entry(1, 7, "b")])
    before = {path: path.stat().st_ino for path in segments(folder, "b")}

    def edit(found: Entry) -> Entry | None:
        if found.offset == 1:
            return msgspec.structs.replace(found, value=b"anonymous")
        return None if found.value == secret else found

    assert folder.rewrite(edit) == 3
    assert folder.rewrite(edit) == 1  # replaced again, by the same
    assert read(folder) == [9, 7, 1, 9, 9]
    assert not any(secret in path.read_bytes() for path in segments(folder))
    assert {path: path.stat().st_ino for path in segments(folder, "b")} == before
    assert folder.bytes == sum(p.stat().st_size for t in "ab" for p in segments(folder, t))


def test_a_segment_that_somebody_removed_keeps_nobody_from_being_forgotten(opened: Open) -> None:
    folder = opened()
    for hour in range(2):
        folder.append("a", [entry(hour * HOUR_S, hour, value=b"ann")])
    first, second = segments(folder, "a")
    first.unlink()
    assert folder.rewrite(lambda _: None) == 1
    assert b"ann" not in second.read_bytes()


def test_places_in_the_journal_outlast_its_rewriting(opened: Open) -> None:
    folder = opened()
    for number in range(3):
        folder.append("a", [entry(number, number)])
    place = folder.ends()["a"]
    folder.rewrite(lambda found: None if found.offset < 2 else found)
    folder.append("a", [entry(3, 3)])
    since = int(T0.timestamp() * 1_000_000)
    newer = read_topic(folder.folder, "a", since_us=since, begin=place)
    older = read_topic(folder.folder, "a", since_us=since, end=place)
    assert [e.offset for e in newer] == [3]
    assert [e.offset for e in older] == [2]


def test_a_segment_deleted_while_it_is_read_is_passed_by(opened: Open) -> None:
    folder = opened()
    for hour in range(3):
        folder.append("a", [entry(hour * HOUR_S, hour)])
    rows = read_topic(folder.folder, "a", since_us=0, end=1 << 62)
    got: defaultdict[str, list[int]] = defaultdict(list)
    got["first"].append(next(rows).offset)
    segments(folder)[1].unlink()
    got["rest"] += [e.offset for e in rows]
    assert got == {"first": [0], "rest": [2]}


def test_damage_costs_the_blocks_it_hits_and_is_erased_with_whatever_it_said(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = opened()
    for number in range(3):
        folder.append("a", [entry(number, number)])
    folder.close()
    [path] = segments(folder)
    damaged = bytearray(path.read_bytes())
    secret = bytes(damaged[-30:-20])
    middle = len(damaged) // 2
    damaged[middle : middle + len(secret)] = secret
    path.write_bytes(damaged)
    again = opened()
    assert read(again) == [0, 2]
    assert "the journal is damaged" in "".join(capsys.readouterr())
    size = again.bytes
    assert again.rewrite(lambda found: found) == 0
    assert read(again) == [0, 2]
    assert again.bytes < size
    capsys.readouterr()
    assert read(again) == [0, 2]
    assert "damaged" not in "".join(capsys.readouterr())


def test_a_journal_of_the_former_format_is_rejected_and_not_read_as_empty(opened: Open) -> None:
    folder = opened()
    folder.append("a", [entry(0)])
    folder.close()
    [path] = segments(folder)
    path.write_bytes(b"\xd5TJ\x01" + bytes(40))
    with pytest.raises(ConfigurationError, match="an earlier version"):
        read(folder)
    with pytest.raises(ConfigurationError, match="an earlier version"):
        opened()
