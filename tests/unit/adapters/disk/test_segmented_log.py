import errno
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trinetra.adapters.disk import segmented_log
from trinetra.adapters.disk.framing import Gap
from trinetra.adapters.disk.segmented_log import SegmentedLog, list_segments, read_segment
from trinetra.errors import ConfigurationError

SEGMENT_BYTES = 100


def opened(folder: Path, *, durable: bool = False, next_offset: int = 0) -> SegmentedLog:
    return SegmentedLog(
        folder, ".log", segment_bytes=SEGMENT_BYTES, durable=durable, next_offset=next_offset
    )


def contents(log: SegmentedLog) -> list[tuple[int, bytes]]:
    frames = [frame for segment in log.segments for frame in log.read(segment).frames]
    return [(frame.offset, frame.payload) for frame in frames]


class LogAgainstList(RuleBasedStateMachine):
    """A log and a list are given the same; what the log holds is what the list says."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.log = opened(Path(self.folder.name))
        self.model: list[tuple[int, bytes]] = []
        self.next_offset = 0

    def teardown(self) -> None:
        self.log.roll()
        self.folder.cleanup()

    @rule(
        payloads=st.lists(st.binary(max_size=50), min_size=1, max_size=4),
        ahead=st.integers(-5, 1000),
    )
    def append(self, payloads: list[bytes], ahead: int) -> None:
        first = max(self.next_offset, self.next_offset + ahead)
        self.log.append(payloads, min_offset=self.next_offset + ahead)
        self.model += enumerate(payloads, first)
        self.next_offset = first + len(payloads)

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def reopen(self) -> None:
        self.log.roll()
        self.log = opened(Path(self.folder.name), next_offset=self.next_offset)

    @precondition(lambda self: self.log.segments)
    @rule()
    def drop_the_oldest(self) -> None:
        following = [segment.base for segment in self.log.segments[1:]]
        self.log.delete(self.log.segments[0])
        end = following[0] if following else self.next_offset
        self.model = [frame for frame in self.model if frame[0] >= end]

    @precondition(lambda self: self.log.segments)
    @rule(data=st.data())
    def rewrite_one(self, data: st.DataObject) -> None:
        segment = data.draw(st.sampled_from(self.log.segments))
        held = {frame.offset for frame in self.log.read(segment).frames}
        shorter = [(offset, payload[1:]) for offset, payload in self.model if offset in held]
        self.log.rewrite(segment, shorter)
        self.model = [(n, p[1:] if n in held else p) for n, p in self.model]

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        assert contents(self.log) == self.model
        assert self.log.next_offset == self.next_offset
        on_disk = list_segments(Path(self.folder.name), ".log")
        assert on_disk == [segment.path for segment in self.log.segments]
        assert self.log.size == sum(path.stat().st_size for path in on_disk)

    @rule(data=st.data())
    def read_a_range(self, data: st.DataObject) -> None:
        begin = data.draw(st.integers(0, self.next_offset))
        end = data.draw(st.integers(begin, self.next_offset))
        paths = list_segments(Path(self.folder.name), ".log", begin, end)
        found = [frame for path in paths for frame in read_segment(path).frames]
        wanted = [(n, payload) for n, payload in self.model if begin <= n < end]
        assert [(f.offset, f.payload) for f in found if begin <= f.offset < end] == wanted


TestLogAgainstList = LogAgainstList.TestCase
TestLogAgainstList.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_a_segment_that_is_full_is_followed_by_another(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for _ in range(4):
        log.append([bytes(60)])
    assert [segment.base for segment in log.segments] == [0, 2]
    assert log.active is log.segments[-1]


def test_only_the_owner_may_read_a_log(tmp_path: Path) -> None:
    log = opened(tmp_path / "log")
    log.append([b"1"])
    log.rewrite(log.segments[0], [(0, b"2")])
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert stat.S_IMODE(log.segments[0].path.stat().st_mode) == 0o600


def test_a_durable_log_forces_each_append_and_the_name_of_each_file_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: forced.append("bytes"))
    monkeypatch.setattr(segmented_log, "sync", lambda path: forced.append(path.name))
    log = opened(tmp_path / "log", durable=True)
    log.append([b"1"])
    log.append([b"2"])
    assert forced == ["bytes", "log", "bytes"]
    opened(tmp_path / "other").append([b"1"])
    assert forced == ["bytes", "log", "bytes"]


def test_an_unfinished_write_is_cut_off_and_damage_before_it_is_not(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append([b"one", b"two", b"six"])
    log.roll()
    [segment] = log.segments
    size = segment.size // 3
    data = bytearray(segment.path.read_bytes())
    data[size - 1] ^= 1
    segment.path.write_bytes(data[:-1])
    again = opened(tmp_path)
    assert segment.path.stat().st_size == 2 * size == again.size
    assert again.read(again.segments[0]).gaps == [Gap(0, size)]
    again.append([b"new"])
    assert contents(again) == [(1, b"two"), (2, b"new")]


def test_an_append_that_fails_and_cannot_be_undone_is_not_followed_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    log.append([b"1"])

    def broken(*_arguments: object) -> NoReturn:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", broken)
        patched.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match="input/output"):
            log.append([b"2", b"3"])
    log.append([b"4"])
    assert [segment.base for segment in log.segments] == [0, 3]
    assert contents(log) == [(0, b"1"), (3, b"4")]


def test_a_rewrite_that_fails_leaves_the_segment_and_is_cleared_away_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    log.append([b"secret"])

    def full(*_arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            log.rewrite(log.segments[0], [])
    assert contents(log) == [(0, b"secret")]
    assert len(list(tmp_path.iterdir())) == 2
    again = opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [again.segments[0].path.name]


def test_a_segment_that_cannot_be_deleted_stays_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    log.append([b"1"])

    def refuse(*_arguments: object, **_more: object) -> NoReturn:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(PermissionError):
            log.delete(log.segments[0])
    assert contents(log) == [(0, b"1")]


def test_what_the_disk_lost_is_a_gap(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append([b"1"])
    [segment] = log.segments
    segment.path.unlink()
    assert log.read(segment) == ([], [Gap(0, segment.size)], False)


@pytest.mark.parametrize("magic", [b"\xd5TS\x01", b"\xd5TJ\x01"])
def test_a_superseded_format_is_rejected_with_a_remedy(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / f"{7:012}.log"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(ConfigurationError, match=r"earlier version.*move the folder away"):
        opened(tmp_path)
    assert path.stat().st_size == 104
    with pytest.raises(ConfigurationError, match="earlier version"):
        read_segment(path)
