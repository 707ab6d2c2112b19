import errno
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from trinetra.adapters.disk.framing import HEADER_BYTES, Gap, encode_frame
from trinetra.adapters.disk.spool_file import SpoolFolder, SpoolStatus, Stored, encode
from trinetra.errors import ConfigurationError
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Record

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Spool:
    """A folder in use, with the damage it told of."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20) -> None:
        self.damage: list[tuple[str, Gap]] = []
        self.files = SpoolFolder(folder, segment_bytes=segment_bytes, on_damage=self._note)

    def _note(self, file: Path, gap: Gap) -> None:
        self.damage.append((file.name, gap))

    def put(self, *numbers: int) -> None:
        self.files.append([payload(number) for number in numbers])

    def take(self, count: int) -> list[int]:
        """Send some: look at the oldest and forget them."""
        found = self.files.head(count)
        if found:
            self.files.advance(len(found))
        return values(found)

    def take_all(self) -> list[int]:
        taken: list[int] = []
        while self.files.status.bytes:
            taken += self.take(100)
        return taken


def payload(number: int) -> bytes:
    at = NOON + timedelta(seconds=number)
    return encode(Stored(at, Record(DETECTIONS, "door", b"%06d" % number)))


def packed(number: int) -> bytes:
    return encode_frame(number, payload(number))


def values(found: list[Stored]) -> list[int]:
    return [int(stored.record.value or b"") for stored in found]


def segments(folder: Path, kind: str = ".spool") -> list[Path]:
    return sorted(folder.glob(f"*{kind}"))


def test_records_come_out_in_order_across_files_and_restarts(tmp_path: Path) -> None:
    taken = []
    for start in range(0, 100, 20):
        spool = Spool(tmp_path, segment_bytes=500)
        for number in range(start, start + 20):
            spool.put(number)
        taken += spool.take(7)
        spool.files.close()
    taken += Spool(tmp_path).take_all()
    assert taken == list(range(100))


def test_what_was_sent_is_deleted_and_leaves_nothing_of_anybody_on_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=300)
    for number in range(10):
        spool.put(number)
    assert len(segments(tmp_path)) > 2
    assert spool.take_all() == list(range(10))
    assert segments(tmp_path) == []
    assert spool.files.status == SpoolStatus(0, 0, None)
    spool.put(10)
    assert spool.take_all() == [10]


def test_the_status_counts_what_waits_and_since_when(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(1, 2, 3)
    spool.take(1)
    spool.files.head(1)
    size = len(packed(1))
    assert spool.files.status == SpoolStatus(2, 3 * size, NOON + timedelta(seconds=2))
    spool.files.close()
    again = Spool(tmp_path)
    assert again.files.status.records == 2


def test_only_the_owner_may_look_into_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shared" / "spool"
    Spool(folder).put(1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    with pytest.raises(ConfigurationError, match=r"in use: process .* its own TRINETRA_INSTANCE$"):
        Spool(tmp_path)
    first.files.close()
    Spool(tmp_path).files.close()


def test_a_folder_that_cannot_be_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_a_record_that_was_being_written_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(1, 2)
    spool.files.close()
    [segment] = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(packed(3)[:-5])
    again = Spool(tmp_path)
    assert segment.stat().st_size == 2 * len(packed(1))
    again.put(4)
    assert again.take_all() == [1, 2, 4]
    assert again.damage == []


def test_damage_is_told_once_and_kept_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(*range(5))
    spool.files.close()
    [segment] = segments(tmp_path)
    size = len(packed(0))
    sick = bytearray(segment.read_bytes())
    sick[2 * size + 20] ^= 0x10
    segment.write_bytes(sick)
    again = Spool(tmp_path)
    again.put(5)
    assert again.take_all() == [0, 1, 3, 4, 5]
    assert again.damage == [(segment.name, Gap(2 * size, 3 * size))]
    [aside] = segments(tmp_path, ".aside")
    assert aside.read_bytes() == bytes(sick)


def test_bits_that_flip_while_it_runs_are_found_when_they_are_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1)
    for number in range(3):
        spool.put(number)
    size = len(packed(0))
    segments(tmp_path)[1].write_bytes(bytes(size))
    assert spool.take_all() == [0, 2]
    assert [gap for _, gap in spool.damage] == [Gap(0, size)]


def test_a_file_that_somebody_deleted_is_damage(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1)
    for number in range(3):
        spool.put(number)
    segments(tmp_path)[0].unlink()
    assert spool.take_all() == [1, 2]
    assert len(spool.damage) == 1


def test_damage_at_the_end_is_told_once_though_the_file_grows_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(0, 1)
    [segment] = segments(tmp_path)
    size = len(packed(0))
    with segment.open("r+b") as file:
        file.seek(2 * size - 1)
        file.write(b"\xff")
    assert values(spool.files.head(1)) == [0]
    spool.put(2)
    assert spool.take(1) == [0]
    assert spool.take(1) == [2]
    assert spool.damage == [(segment.name, Gap(size, 2 * size))]
    assert len(segments(tmp_path, ".aside")) == 1


def test_a_record_that_this_version_cannot_read_is_damage(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.files.append([payload(0), b"\xc1", payload(2)])
    assert spool.take_all() == [0, 2]
    size = len(packed(0))
    assert [gap for _, gap in spool.damage] == [Gap(size, size + HEADER_BYTES + 1)]


def test_a_spool_of_the_former_format_is_rejected_and_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / f"{1:012}.spool"
    path.write_bytes(b"\xd5TS\x01" + bytes(40))
    with pytest.raises(ConfigurationError, match="an earlier version"):
        Spool(tmp_path)
    path.unlink()
    Spool(tmp_path).files.close()


def test_a_disk_that_cannot_be_read_for_a_while_leaves_the_order_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.put(*range(5))
    spool.files.close()

    def broken(*_arguments: object) -> NoReturn:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as sick:
        sick.setattr(Path, "open", broken)
        again = Spool(tmp_path)
    again.put(5)
    assert again.take(3) == [0, 1, 2]
    again.files.close()
    assert Spool(tmp_path).take_all() == [3, 4, 5]


def test_few_damaged_files_are_kept_for_they_tell_of_people_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1)
    for number in range(12):
        spool.put(number)
    for path in segments(tmp_path):
        path.write_bytes(bytes(10))
    assert spool.take_all() == []
    assert [path.stem for path in segments(tmp_path, ".aside")] == [
        f"{n:020}" for n in range(4, 12)
    ]


def test_without_a_readable_cursor_everything_goes_out_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(1, 2, 3)
    spool.take(2)
    spool.files.close()
    (tmp_path / "cursor").write_bytes(b"\xff" * 1024)
    assert Spool(tmp_path).take_all() == [1, 2, 3]


def test_a_torn_write_of_the_cursor_leaves_the_position_before(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(1, 2, 3)
    spool.take(1)
    before = (tmp_path / "cursor").read_bytes()
    spool.take(1)
    after = bytearray((tmp_path / "cursor").read_bytes())
    spool.files.close()
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    after[changed[-1]] ^= 0xFF
    (tmp_path / "cursor").write_bytes(after)
    assert Spool(tmp_path).take_all() == [2, 3]


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    names = set()
    for number in range(4):
        spool = Spool(tmp_path)
        spool.put(number)
        [segment] = segments(tmp_path)
        assert segment.name not in names
        names.add(segment.name)
        assert spool.take_all() == [number]
        spool.files.close()


@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("before", [0, 2])
def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, before: int
) -> None:
    spool = Spool(tmp_path)
    for number in range(before):
        spool.put(number)

    def full(file: int, *data: bytes) -> NoReturn:
        if data:
            real_write(file, data[0][:7])
        raise OSError(errno.ENOSPC, "no space left on device")

    real_write = os.write
    with monkeypatch.context() as sick:
        sick.setattr(os, call, full)
        with pytest.raises(OSError, match="no space"):
            spool.put(77)
    assert sum(path.stat().st_size for path in segments(tmp_path)) == before * len(packed(0))
    spool.put(88)
    assert spool.take_all() == [*range(before), 88]
    assert spool.damage == []


def test_a_cursor_that_cannot_be_saved_costs_repeats_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.put(1, 2, 3)

    def broken(*_arguments: object) -> NoReturn:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as sick:
        sick.setattr(os, "pwrite", broken)
        assert spool.take(2) == [1, 2]
    assert spool.take(1) == [3]
    spool.files.close()
    assert Spool(tmp_path).take_all() == []
