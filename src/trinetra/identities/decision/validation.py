"""Validation of the records that the resolver reads."""

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent
from trinetra.values import SiteId

_FARTHEST_PX = 1e6
"""No image is that large; arithmetic on such boxes would overflow."""


def read(payload: bytes, site_id: SiteId) -> DetectionEvent:
    """Return the detection event in ``payload``.

    Raises MalformedEvent for another kind of event, another site, or a box outside any image.
    """
    event = decode(payload)
    if not isinstance(event, DetectionEvent):
        kind = type(event).__struct_config__.tag
        raise MalformedEvent(f"event {event.event_id}: unexpected {kind} event")
    if event.site_id != site_id:
        raise MalformedEvent(
            f"event {event.event_id}: belongs to site {event.site_id}, not {site_id}"
        )
    for box in (*[o.box for o in event.objects], *[f.box for f in event.faces]):
        if max(box) > _FARTHEST_PX or min(box) < -_FARTHEST_PX:
            raise MalformedEvent(f"event {event.event_id}: the box {box} lies outside any image")
    return event


def other_model(event: DetectionEvent, model: str) -> str | None:
    """Return the model that embedded the event's faces if it is not ``model``, else None."""
    read_by = event.models.get("face_embed", model)
    return None if read_by == model else read_by


def without_embeddings(event: DetectionEvent) -> tuple[DetectionEvent, int]:
    """Return the event without its faces' embeddings, and how many were removed."""
    faces = tuple(
        msgspec.structs.replace(face, embedding=None, unusable=face.unusable or "other_model")
        for face in event.faces
    )
    there = sum(face.embedding is not None for face in event.faces)
    return msgspec.structs.replace(event, faces=faces), there
