"""Removes biometric data and license plates from recorded detections.

No id leads to the embeddings of people who were not recognized yet, or to the plates of their cars,
so an erasure removes those of everyone.
"""

from msgspec.structs import replace

from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode, encode
from trinetra.events.schema import DetectionEvent

_BIOMETRIC = (b'"embedding"', b'"appearance"', b'"body"', b'"plate"')


def without_biometrics(detection: bytes) -> bytes | None:
    """Return an encoded event without embeddings, appearances and plates.

    Returns None if it cannot be decoded: it may hold anything.
    """
    if not any(field in detection for field in _BIOMETRIC):
        return detection
    try:
        event = decode(detection)
    except MalformedEvent:
        return None
    if not isinstance(event, DetectionEvent):
        return detection
    faces = tuple(replace(f, embedding=None, unusable=f.unusable or "erased") for f in event.faces)
    objects = tuple(replace(o, appearance=None, body=None, plate=None) for o in event.objects)
    if (faces, objects) == (event.faces, event.objects):
        return detection
    return encode(replace(event, faces=faces, objects=objects))
