"""Plates are sealed on the way to the resolver, and have one pseudonym for each key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError, MalformedEvent
from trinetra.events.biometrics import without_biometrics
from trinetra.events.codec import decode, encode, without_embeddings
from trinetra.events.plates import PlateCharacters, PlateKey
from trinetra.events.schema import DetectionEvent, ObjectBox, PlateReading
from trinetra.values import EPOCH, CameraId, EventId, SiteId

KEY, OTHER = PlateKey(b"k" * 32), PlateKey(b"o" * 32)
TEXTS = st.text(max_size=12)


@st.composite
def readings(draw):
    text = draw(TEXTS)
    return PlateCharacters.of(text, tuple(draw(st.floats(0, 1)) for _ in text))


@given(readings())
def test_what_was_sealed_is_unsealed(read):
    sealed = KEY.seal(read)
    assert KEY.unseal(sealed) == read
    assert KEY.seal(read) == sealed


@given(readings().filter(lambda read: len(read.text) > 3))
def test_the_text_is_not_in_what_is_sealed(read):
    assert read.text.encode() not in KEY.seal(read)


@given(readings(), st.integers(0), st.integers(0, 7))
def test_one_changed_bit_is_noticed(read, place, bit):
    sealed = bytearray(KEY.seal(read))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(MalformedEvent):
        KEY.unseal(bytes(sealed))


@given(readings())
def test_another_key_reads_nothing_and_says_what_to_do(read):
    with pytest.raises(MalformedEvent, match="TRINETRA_PLATE_KEY"):
        OTHER.unseal(KEY.seal(read))


@pytest.mark.parametrize("sealed", [b"", b"x", b"x" * 15, b"x" * 10_000])
def test_bytes_of_any_length_are_refused(sealed):
    with pytest.raises(MalformedEvent):
        KEY.unseal(sealed)


@given(TEXTS, TEXTS)
def test_two_plates_have_one_pseudonym_only_if_they_are_the_same(first, second):
    assert (KEY.pseudonym(first) == KEY.pseudonym(second)) is (first == second)
    assert KEY.pseudonym(first) != OTHER.pseudonym(first)


def test_a_pseudonym_is_the_same_in_every_release():
    assert KEY.pseudonym("KA01AB1234") == "plt_dd915c5b50755fdd57e5f261d30825bf"


def test_a_key_that_could_be_guessed_is_refused_without_being_shown():
    with pytest.raises(ConfigurationError, match="at least 16") as refused:
        PlateKey(b"secret")
    assert "secret" not in str(refused.value)


def test_each_character_needs_a_probability():
    with pytest.raises(ValueError, match="2 characters have 1"):
        PlateCharacters.of("AB", (0.5,))


def detection(plate):
    return DetectionEvent(
        event_id=EventId("det_1"),
        site_id=SiteId("shop"),
        camera_id=CameraId("gate"),
        captured_at=EPOCH,
        frame_seq=1,
        frame_width=640,
        frame_height=480,
        objects=(ObjectBox("car", 0.9, (0, 0, 100, 100), plate=plate),),
    )


def test_an_erasure_and_a_view_for_people_leave_plates_out():
    plate = PlateReading(KEY.seal(PlateCharacters.of("AB12", (1.0,) * 4)), 0.9, (1, 2, 3, 4))
    event, bare = detection(plate), detection(None)
    assert decode(encode(event)) == event
    assert decode(without_biometrics(encode(event))) == bare
    assert without_embeddings(event) == bare
