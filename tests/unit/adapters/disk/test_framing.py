from hypothesis import given
from hypothesis import strategies as st

from trinetra.adapters.disk.framing import HEADER_BYTES, MAGIC, Frame, Gap, encode_frame, parse

PAYLOADS = st.lists(
    st.binary(max_size=60) | st.just(MAGIC * 3) | st.just(MAGIC + bytes(HEADER_BYTES)), max_size=6
)
SOME = PAYLOADS.filter(lambda payloads: len(payloads) > 1)


def frames_of(payloads: list[bytes], first: int = 7) -> list[Frame]:
    frames, start = [], 0
    for offset, payload in enumerate(payloads, first):
        end = start + HEADER_BYTES + len(payload)
        frames.append(Frame(start, end, offset, payload))
        start = end
    return frames


def encoded(payloads: list[bytes], first: int = 7) -> bytes:
    return b"".join(encode_frame(n, payload) for n, payload in enumerate(payloads, first))


@given(PAYLOADS, st.integers(0, 1 << 63))
def test_frames_are_parsed_as_they_were_encoded(payloads: list[bytes], first: int) -> None:
    assert parse(encoded(payloads, first)) == (frames_of(payloads, first), [], False)


@given(PAYLOADS, st.data())
def test_parsing_starts_at_any_frame(payloads: list[bytes], data: st.DataObject) -> None:
    frames = frames_of(payloads)
    index = data.draw(st.integers(0, len(frames)))
    start = frames[index].start if index < len(frames) else len(encoded(payloads))
    assert parse(encoded(payloads), start) == (frames[index:], [], False)


@given(SOME, st.data())
def test_truncation_at_any_byte_loses_the_torn_frame_only(
    payloads: list[bytes], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(encoded(payloads))))
    whole = [frame for frame in frames_of(payloads) if frame.end <= cut]
    end = whole[-1].end if whole else 0
    torn = [] if end == cut else [Gap(end, cut)]
    assert parse(encoded(payloads)[:cut]) == (whole, torn, bool(torn))


@given(SOME, st.data())
def test_a_flipped_bit_costs_its_frame_only(payloads: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(encoded(payloads))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    frames = frames_of(payloads)
    [hit] = [frame for frame in frames if frame.start <= bit // 8 < frame.end]
    found = parse(bytes(damaged))
    assert found.frames == [frame for frame in frames if frame is not hit]
    assert found.gaps == [Gap(hit.start, hit.end)]
    # A flipped length or magic at the very end cannot be told from a write that was cut short.
    assert not found.is_torn or (hit is frames[-1] and bit // 8 < hit.start + 8)


@given(SOME, st.data())
def test_any_damage_costs_only_the_frames_it_touches(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = encoded(payloads)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    # Other bytes of any number: overwritten, lost and inserted ones at once.
    replaced = data.draw(st.binary(max_size=80))
    found = parse(whole[:start] + replaced + whole[end:])
    written = {(frame.offset, frame.payload) for frame in frames_of(payloads)}
    untouched = {
        (frame.offset, frame.payload)
        for frame in frames_of(payloads)
        if frame.end <= start or frame.start >= end
    }
    # What replaced a frame may be the same bytes.
    assert untouched <= {(frame.offset, frame.payload) for frame in found.frames} <= written


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_a_frame_is_found_behind_any_bytes(rubbish: bytes, payload: bytes) -> None:
    found = parse(rubbish + encode_frame(3, payload))
    assert (found.frames[-1].offset, found.frames[-1].payload) == (3, payload)
    assert sum(gap.end - gap.start for gap in found.gaps) == len(rubbish)
