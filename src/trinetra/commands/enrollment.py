"""``trinetra customers enroll``: enrolls a person from photos."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from trinetra.commands.audit_trail import record_change
from trinetra.commands.console import note, print_json, say
from trinetra.commands.customers import Json, Kind, kind_named, need_a_name
from trinetra.commands.options import grouped_options
from trinetra.commands.progress import FetchProgress
from trinetra.customers.customer_feed import read_people
from trinetra.detections.photo_face import PhotoFacePolicy, decode_photo, read_photo_face
from trinetra.errors import CustomerConflict, PhotoRejected
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
from trinetra.ports import Template
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId, IdentityKind, derive_id
from trinetra.wiring.networks import load_face_reader
from trinetra.wiring.profiles import choose_profile, ensure_models
from trinetra.wiring.stores import open_customer_log

_MOST_PHOTOS = 5


def register(group: typer.Typer) -> None:
    """Add the command of this module to the group of customers."""
    group.command("enroll")(enroll)


@dataclass(frozen=True, slots=True)
class EnrollmentBasis:
    """Treatment of a person, and the legal basis for keeping the face."""

    kind: Annotated[Kind, typer.Option("--kind", help="How the person is treated.")] = "enrolled"
    consent: Annotated[
        bool, typer.Option("--consent/--no-consent", help="The person has agreed to this.")
    ] = False
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="TEXT", help="Why the face is kept.")
    ] = None


@grouped_options
def enroll(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name.")],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="One to five, sharp and frontal.")
    ],
    basis: EnrollmentBasis,
    *,
    largest: Annotated[
        bool, typer.Option("--largest", help="Take the largest of several faces in a photo.")
    ] = False,
    allow_duplicate: Annotated[
        bool,
        typer.Option(
            "--allow-duplicate", help="Even if an enrolled customer has nearly this face."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Enroll a person from photos; the photos themselves are not kept."""
    if len(photos) > _MOST_PHOTOS:
        raise PhotoRejected(
            f"{len(photos)} photos were given, the maximum is {_MOST_PHOTOS}: choose the sharpest"
        )
    configure_logging(as_json=False, level="ERROR")
    settings, wanted = load_settings(), kind_named(basis.kind)
    need_a_name(name)
    need_a_basis(wanted, consent=basis.consent, purpose=basis.purpose)
    contents = {photo: _read(photo) for photo in photos}
    profile = choose_profile(settings)
    shots = _shots(contents, profile, settings, largest=largest)
    policy = matching_policy(profile)
    need_one_person(shots, policy)
    customer_id = CustomerId(derive_id("cus", "enrolled", uuid4().hex))
    change = enrolled(
        customer_id,
        name.strip(),
        wanted,
        datetime.now(UTC),
        consent=basis.consent,
        purpose=basis.purpose,
    )
    model = profile.face_embedder.version
    templates = [
        Template(model, entry) for entry in faces_of(customer_id, wanted, list(shots.values()))
    ]

    async def keep() -> None:
        async with open_customer_log(settings) as customer_log:
            people, known = await read_people(customer_log), await customer_log.templates(model)
            alike = likenesses(shots.values(), known, people, policy)
            if alike and not allow_duplicate:
                raise CustomerConflict(_told(alike))
            await customer_log.write([change], templates)
        record_change(settings, change)

    asyncio.run(keep())
    _report(customer_id, name.strip(), wanted, len(shots), as_json=as_json)


def matching_policy(profile: Profile) -> MatchingPolicy:
    """Return the limits of a match on the scale of the profile's model."""
    calibration = profile.face_embedder.calibration
    return MatchingPolicy(scale_offset=calibration.offset, scale_gain=calibration.gain)


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as cause:
        reason = (cause.strerror or "it cannot be read").lower()
        raise PhotoRejected(f"{photo} cannot be read: {reason}") from cause


def _shots(
    contents: dict[Path, bytes], profile: Profile, settings: Settings, *, largest: bool
) -> dict[str, Shot]:
    """Return the face in each photo, by the photo's name."""
    images = {photo: decode_photo(str(photo), content) for photo, content in contents.items()}
    with FetchProgress() as progress:
        files = ensure_models(profile.having(()), settings, progress)
    reader, now = load_face_reader(profile, files, settings), datetime.now(UTC)
    shots = {}
    for photo, image in images.items():
        face = read_photo_face(str(photo), image, reader, PhotoFacePolicy(), largest=largest)
        shots[str(photo)] = Shot(face.embedding, face.quality, face.size_px, now)
    return shots


def _told(alike: Sequence[Likeness]) -> str:
    who = ", ".join(
        f"{a.customer.name} ({a.customer.customer_id}, similarity {a.score:.2f})" for a in alike
    )
    return (
        f"this may be a customer who is enrolled already: {who}; nothing was stored. If it is "
        "another person, add --allow-duplicate"
    )


def _report(
    customer_id: CustomerId, name: str, kind: IdentityKind, photos: int, *, as_json: bool
) -> None:
    if as_json:
        print_json({"customer_id": customer_id, "kind": kind.value, "photos": photos})
        return
    say(
        f"{name} is {customer_id} ({kind.value}), known by {photos} photo"
        f"{'s' if photos > 1 else ''}, which may be deleted now."
    )
    note("running resolvers read it within seconds")
