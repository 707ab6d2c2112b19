"""Sightings of customers, which the insight engine passes from camera to customer partitions.

They stay within the engine's own topic, so they are not part of ``AnyEvent``. JSON like every
event.
"""

from typing import Literal

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.values import CameraId, CustomerId, IdentityKind, Instant, SiteId, TrackId


class Sighting(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="sighting"):
    """A customer was in a camera's view from ``since`` to ``until``, on one track.

    ``left`` is true if the customer left the camera's view at ``until``. With a ``correction``, the
    earlier sightings of the customer on this track are ``replaced`` by this one, or ``withdrawn``
    without replacement: the track was another person's. Without a ``track_id``, as earlier versions
    wrote it, a sighting cannot be corrected.
    """

    version: Literal[1] = 1
    site_id: SiteId
    camera_id: CameraId
    customer_id: CustomerId
    kind: IdentityKind
    since: Instant
    until: Instant
    left: bool = False
    track_id: TrackId | msgspec.UnsetType = msgspec.UNSET
    correction: Literal["replaced", "withdrawn"] | msgspec.UnsetType = msgspec.UNSET


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sighting)


def encode_sighting(sighting: Sighting) -> bytes:
    """Return the sighting as one JSON object."""
    return _encoder.encode(sighting)


def decode_sighting(payload: bytes) -> Sighting:
    """Return the sighting in ``payload``. Raises MalformedEvent with the reason."""
    try:
        sighting = _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, ValueError) as cause:
        raise MalformedEvent(f"not a valid sighting: {cause}") from cause
    if sighting.since.tzinfo is None or sighting.until.tzinfo is None:
        raise MalformedEvent(f"sighting of {sighting.customer_id}: an instant has no UTC offset")
    if sighting.until < sighting.since:
        raise MalformedEvent(f"sighting of {sighting.customer_id}: it ends before it begins")
    return sighting
