"""Erasing people from the journal: nothing by which a person could be recognized remains."""

import msgspec
from tests.unit.events.samples import NOON, detection, face

from trinetra.adapters.disk.journal_erasure import forgetting
from trinetra.adapters.disk.journal_format import Entry
from trinetra.events.codec import decode, encode
from trinetra.events.topics import DETECTIONS


def test_faces_clothes_and_bodies_of_detections_are_removed() -> None:
    (person,) = detection().objects
    for seen in ({"appearance": b"blue"}, {"body": b"tall"}):
        objects = (msgspec.structs.replace(person, **seen),)
        event = msgspec.structs.replace(detection(), objects=objects)
        assert decode(edited(event).value) == detection()
    [left] = decode(edited(detection(faces=(face(),))).value).faces
    assert (left.embedding, left.unusable) == (None, "erased")


def edited(event) -> Entry:
    entry = Entry(NOON, DETECTIONS.name, 0, 0, "door", encode(event))
    after = forgetting([])(entry)
    assert after is not None
    return after
