"""The records that a resolver accepts, and what becomes of embeddings of another model."""

import msgspec
import pytest
from tests.unit.events.samples import SITE, detection, face, one_of_each

from trinetra.errors import MalformedEvent
from trinetra.events.codec import encode
from trinetra.events.schema import Box, DetectionEvent, ObjectBox
from trinetra.identities.decision.validation import other_model, read, without_embeddings
from trinetra.values import SiteId


def of_model(model: str) -> DetectionEvent:
    return msgspec.structs.replace(detection(), models={"face_embed": model})


def test_a_detection_of_this_site_is_accepted_as_it_was_written() -> None:
    event = detection((face(),))
    assert read(encode(event), SITE) == event


def test_a_record_of_another_kind_is_refused_by_its_id() -> None:
    others = [event for event in one_of_each() if not isinstance(event, DetectionEvent)]
    for event in others:
        with pytest.raises(MalformedEvent, match=event.event_id):
            read(encode(event), SITE)


def test_a_record_of_another_site_is_refused_and_both_sites_are_named() -> None:
    with pytest.raises(MalformedEvent, match=f"site {SITE}, not mall"):
        read(encode(detection()), SiteId("mall"))


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize("far", [2e6, -2e6])
def test_a_box_outside_any_image_is_refused_wherever_it_is(side: int, far: float) -> None:
    box: Box = tuple(far if n == side else 5.0 for n in range(4))  # type: ignore[assignment]
    body = msgspec.structs.replace(detection(), objects=(ObjectBox("person", 0.9, box),))
    head = detection((msgspec.structs.replace(face(), box=box),))
    for event in (body, head):
        with pytest.raises(MalformedEvent, match="outside any image"):
            read(encode(event), SITE)


def test_a_model_is_another_one_only_if_it_is_named() -> None:
    assert other_model(of_model("arcface@2"), "arcface@1") == "arcface@2"
    assert other_model(of_model("arcface@1"), "arcface@1") is None
    assert other_model(detection(), "arcface@1") is None


def test_embeddings_of_another_model_are_removed_counted_and_accounted_for() -> None:
    blurred = msgspec.structs.replace(face(), embedding=None, unusable="blurred")
    event = detection((face(), blurred, face()))
    stripped, removed = without_embeddings(event)
    assert removed == 2
    assert [f.embedding for f in stripped.faces] == [None, None, None]
    assert [f.unusable for f in stripped.faces] == ["other_model", "blurred", "other_model"]
    assert (stripped.event_id, stripped.objects) == (event.event_id, event.objects)
