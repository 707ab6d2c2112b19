from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.disk.spool_format import MAGIC, Gap, Stored, pack, parse
from trinetra.events.topics import DETECTIONS, Topic
from trinetra.ports import Record

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RECORDS = st.builds(
    Record,
    st.sampled_from([DETECTIONS, Topic("test.state", 3, compacted=True)]),
    st.text(max_size=8),
    st.none() | st.binary(max_size=60) | st.just(MAGIC * 3),
    st.none() | st.integers(0, 7),
)
STORED = st.builds(
    Stored, st.integers(0, 10**6).map(lambda s: NOON + timedelta(seconds=s)), RECORDS
)


def ends(stored: list[Stored]) -> list[int]:
    sizes = [len(pack(one)) for one in stored]
    return [sum(sizes[: n + 1]) for n in range(len(sizes))]


def segment(stored: list[Stored]) -> bytes:
    return b"".join(map(pack, stored))


@given(st.lists(STORED, max_size=6))
def test_what_was_packed_is_found_again_in_order(stored: list[Stored]) -> None:
    found = parse(segment(stored))
    assert [placed.stored for placed in found.placed] == stored
    assert [placed.end for placed in found.placed] == ends(stored)
    assert (found.damaged, found.torn_at) == ([], None)


@given(st.lists(STORED, min_size=1, max_size=4), st.data())
def test_of_a_write_that_was_cut_short_the_whole_records_stay(
    stored: list[Stored], data: st.DataObject
) -> None:
    whole = segment(stored)
    cut = data.draw(st.integers(0, len(whole)))
    found = parse(whole[:cut])
    kept = [end for end in ends(stored) if end <= cut]
    assert [placed.end for placed in found.placed] == kept
    assert found.damaged == []
    assert found.torn_at == (None if cut in {0, *kept} else max(kept, default=0))


@given(st.lists(STORED, min_size=2, max_size=5), st.data())
def test_a_flipped_bit_costs_no_more_than_its_record(
    stored: list[Stored], data: st.DataObject
) -> None:
    sick = bytearray(segment(stored))
    bit = data.draw(st.integers(0, len(sick) * 8 - 1))
    sick[bit // 8] ^= 1 << bit % 8
    index = next(n for n, end in enumerate(ends(stored)) if bit // 8 < end)
    found = parse(bytes(sick))
    assert [placed.stored for placed in found.placed] == stored[:index] + stored[index + 1 :]
    start = ([0, *ends(stored)])[index]
    if index < len(stored) - 1:
        assert found.damaged == [Gap(start, ends(stored)[index])]
    else:  # at the end it may look like a write that was cut short
        assert found.damaged == [Gap(start, len(sick))] or found.torn_at == start


@given(st.binary(max_size=200), STORED)
def test_a_record_is_found_behind_any_bytes(rubbish: bytes, stored: Stored) -> None:
    found = parse(rubbish + pack(stored))
    assert found.placed[-1].stored == stored


def test_a_record_that_this_version_cannot_read_is_damage() -> None:
    good = pack(Stored(NOON, Record(DETECTIONS, "door", b"1")))
    alien = bytearray(good)
    alien[-1:] = b""
    assert parse(good + bytes(alien) + good).damaged == [Gap(len(good), 2 * len(good) - 1)]
