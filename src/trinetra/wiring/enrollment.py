"""Enrolls people from photos and finds them by a photo; embeddings are kept, never the photos."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from trinetra.detections.photo_face import PhotoFacePolicy, decode_photo, read_photo_face
from trinetra.errors import CustomerConflict
from trinetra.events.customers import CustomerChange
from trinetra.identities.decision.enrollment import (
    Likeness,
    enrolled,
    faces_of,
    likenesses,
    need_a_basis,
    need_one_person,
)
from trinetra.identities.decision.matching import MatchingPolicy
from trinetra.identities.tracking.track_faces import Shot
from trinetra.models.manifest import Profile
from trinetra.ports import FaceReader, Template
from trinetra.values import CustomerId, IdentityKind, ImageBgr, derive_id
from trinetra.wiring.audit_trail import record_change
from trinetra.wiring.customers import CustomerDesk, need_a_name

MOST_PHOTOS = 5


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A person to enroll: name, treatment, and the legal basis for keeping the face."""

    name: str
    kind: IdentityKind
    consent: bool = False
    purpose: str | None = None
    allow_duplicate: bool = False

    def check(self) -> None:
        """Raise CustomerConflict for a bad name or a missing basis, before photos are read."""
        need_a_name(self.name)
        need_a_basis(self.kind, consent=self.consent, purpose=self.purpose)


def matching_policy(profile: Profile) -> MatchingPolicy:
    """Return the limits of a match on the scale of the profile's model."""
    calibration = profile.face_embedder.calibration
    return MatchingPolicy(scale_offset=calibration.offset, scale_gain=calibration.gain)


def images_of(contents: Mapping[str, bytes]) -> dict[str, ImageBgr]:
    """Return the pixels of photos by their names. Raises PhotoRejected."""
    return {photo: decode_photo(photo, content) for photo, content in contents.items()}


def shots_of(
    images: Mapping[str, ImageBgr], reader: FaceReader, *, largest: bool
) -> dict[str, Shot]:
    """Return the face in each photo, by the photo's name. Raises PhotoRejected, EngineFailure."""
    now, shots = datetime.now(UTC), {}
    for photo, image in images.items():
        face = read_photo_face(photo, image, reader, PhotoFacePolicy(), largest=largest)
        shots[photo] = Shot(face.embedding, face.quality, face.size_px, now)
    return shots


async def enroll(
    desk: CustomerDesk, profile: Profile, wish: Enrollment, shots: Mapping[str, Shot]
) -> CustomerChange:
    """Enroll a person whose photos show these faces.

    Raises PhotoRejected if they show several people, CustomerConflict if a customer has the face.
    """
    policy, model = matching_policy(profile), profile.face_embedder.version
    need_one_person(shots, policy)
    customer_id = CustomerId(derive_id("cus", "enrolled", uuid4().hex))
    change = enrolled(
        customer_id,
        wish.name.strip(),
        wish.kind,
        datetime.now(UTC),
        consent=wish.consent,
        purpose=wish.purpose,
    )
    entries = faces_of(customer_id, wish.kind, list(shots.values()))
    people, known = await desk.directory.people(), await desk.customer_log.templates(model)
    alike = likenesses(shots.values(), known, people, policy)
    if alike and not wish.allow_duplicate:
        raise CustomerConflict(_told(alike))
    await desk.customer_log.write([change], [Template(model, entry) for entry in entries])
    await asyncio.to_thread(record_change, desk.settings, change, desk.by)
    return change


def _told(alike: Sequence[Likeness]) -> str:
    who = ", ".join(
        f"{a.customer.name} ({a.customer.customer_id}, similarity {a.score:.2f})" for a in alike
    )
    return (
        f"this may be a customer who is enrolled already: {who}; nothing was stored. If it is "
        "another person, allow the duplicate (--allow-duplicate)"
    )
