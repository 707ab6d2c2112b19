"""The event codec: lossless round trips, and rejection of malformed input."""

from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.unit.events.samples import detection, face

from trinetra.errors import FrameRejected, MalformedEvent
from trinetra.events.codec import (
    decode,
    decode_frame,
    encode,
    pack_body,
    pack_embedding,
    unpack_body,
    unpack_embedding,
    without_embeddings,
)
from trinetra.events.upcast import upcast

DIMENSION = 512
vectors = arrays(np.float32, DIMENSION, elements=st.floats(-1, 1, width=32)).filter(
    lambda v: np.linalg.norm(v) > 0.1
)


def edited(**changes: object) -> bytes:
    document = msgspec.json.decode(encode(detection()))
    return msgspec.json.encode({**document, **changes})


@given(vectors)
def test_an_embedding_survives_packing_to_within_a_ten_thousandth(vector: np.ndarray) -> None:
    unit = vector / np.linalg.norm(vector)
    assert float(unit @ unpack_embedding(pack_embedding(unit), DIMENSION)) > 0.9999


@given(vectors)
def test_the_cosine_of_bodies_changes_little_by_packing(vector: np.ndarray) -> None:
    unit = vector / np.linalg.norm(vector)
    packed = pack_body(unit)
    assert len(packed) == DIMENSION
    assert float(unit @ unpack_body(packed, DIMENSION)) > 0.995


def test_a_vector_that_points_nowhere_is_no_body() -> None:
    for vector in (np.zeros(4, np.float32), np.full(4, np.nan, np.float32)):
        with pytest.raises(ValueError, match="zero or not finite"):
            pack_body(vector)


@pytest.mark.parametrize(
    ("body", "complaint"), [(b"", "empty or zero"), (b"\0\0\0", "empty or zero")]
)
def test_an_event_with_a_body_that_points_nowhere_is_malformed(body: bytes, complaint: str) -> None:
    (person,) = detection().objects
    bad = msgspec.structs.replace(person, body=body)
    with pytest.raises(MalformedEvent, match=complaint):
        decode(encode(msgspec.structs.replace(detection(), objects=(bad,))))


def test_a_body_of_another_size_is_malformed() -> None:
    with pytest.raises(MalformedEvent, match="3 dimensions, expected 256"):
        unpack_body(b"abc", 256)


def test_neither_a_face_nor_a_body_can_be_recognized_without_embeddings() -> None:
    (person,) = detection().objects
    whole = msgspec.structs.replace(
        detection(faces=(face(),)), objects=(msgspec.structs.replace(person, body=b"abc"),)
    )
    assert without_embeddings(whole) == detection(
        faces=(msgspec.structs.replace(face(), embedding=None),)
    )


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_malformed_and_never_anything_worse(payload: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(payload)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_a_damaged_event_is_malformed_or_still_an_event(place: int, junk: bytes) -> None:
    payload = encode(detection())
    place %= len(payload)
    with suppress(MalformedEvent):  # any other exception fails the test
        decode(payload[:place] + junk + payload[place + len(junk) :])


def test_a_detection_event_with_one_face_stays_within_two_kilobytes() -> None:
    assert len(encode(detection(faces=(face(),)))) <= 2048


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"type": "rumour"}, "rumour"),
        ({"version": 99}, "99"),
        ({"captured_at": "2026-11-22T12:00:00"}, "UTC offset"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"frame_width": 0}, "no pixels"),
        ({"camera_id": None}, "camera_id"),
        ({"objects": [{"label": "person", "score": 0.5, "box": [1, 2, 3]}]}, "box"),
    ],
)
def test_a_malformed_event_says_what_is_wrong(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(MalformedEvent, match=complaint):
        decode(edited(**changes))


def test_nan_is_not_json_and_not_an_event() -> None:
    payload = encode(detection()).replace(b'"frame_seq":7', b'"frame_seq":NaN')
    with pytest.raises(MalformedEvent):
        decode(payload)


@pytest.mark.parametrize(
    ("vector", "complaint"),
    [
        (np.full(DIMENSION, np.nan, np.float32), "norm nan"),
        (np.zeros(DIMENSION, np.float32), "norm 0.000"),
        (np.ones(DIMENSION, np.float32), "norm 22.6"),
    ],
)
def test_an_embedding_that_is_no_unit_vector_is_malformed(
    vector: np.ndarray, complaint: str
) -> None:
    bad = msgspec.structs.replace(face(), embedding=pack_embedding(vector))
    with pytest.raises(MalformedEvent, match=complaint):
        decode(encode(detection(faces=(bad,))))


def test_an_embedding_of_another_size_is_malformed() -> None:
    short = pack_embedding(np.eye(1, 128, dtype=np.float32)[0])
    with pytest.raises(MalformedEvent, match="128 dimensions, expected 512"):
        unpack_embedding(short, DIMENSION)
    with pytest.raises(MalformedEvent, match="3 bytes"):
        unpack_embedding(b"abc")


def test_bytes_that_are_no_frame_are_rejected() -> None:
    with pytest.raises(FrameRejected):
        decode_frame(b"\x93\x01")


def test_upcasters_lift_an_event_version_by_version() -> None:
    lifts = {
        ("thing", 1): lambda d: {**d, "b": d["a"] + 1},
        ("thing", 2): lambda d: {**d, "c": d["b"] + 1},
    }
    lifted = upcast({"type": "thing", "version": 1, "a": 1}, lifts)
    assert lifted == {"type": "thing", "version": 3, "a": 1, "b": 2, "c": 3}
