"""``trinetra customers enroll``: enrolls a person from photos."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from trinetra.commands.console import note, print_json, say
from trinetra.commands.customers import Json, Kind, kind_named, with_desk
from trinetra.commands.options import grouped_options
from trinetra.commands.progress import FetchProgress
from trinetra.errors import PhotoRejected
from trinetra.identities.tracking.track_faces import Shot
from trinetra.models.manifest import Profile
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId, IdentityKind, ImageBgr
from trinetra.wiring.enrollment import MOST_PHOTOS, Enrollment, images_of, shots_of
from trinetra.wiring.enrollment import enroll as enroll_from
from trinetra.wiring.networks import load_face_reader
from trinetra.wiring.profiles import choose_profile, ensure_models


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
    if len(photos) > MOST_PHOTOS:
        raise PhotoRejected(
            f"{len(photos)} photos were given, the maximum is {MOST_PHOTOS}: choose the sharpest"
        )
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    wish = Enrollment(name, kind_named(basis.kind), basis.consent, basis.purpose, allow_duplicate)
    wish.check()
    images = images_of({str(photo): _read(photo) for photo in photos})
    profile = choose_profile(settings)
    shots = _shots(images, profile, settings, largest=largest)
    change = with_desk(lambda desk: enroll_from(desk, profile, wish, shots))
    _report(change.customer_id, name.strip(), wish.kind, len(shots), as_json=as_json)


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as cause:
        reason = (cause.strerror or "it cannot be read").lower()
        raise PhotoRejected(f"{photo} cannot be read: {reason}") from cause


def _shots(
    images: Mapping[str, ImageBgr], profile: Profile, settings: Settings, *, largest: bool
) -> dict[str, Shot]:
    with FetchProgress() as progress:
        files = ensure_models(profile.having(()), settings, progress)
    return shots_of(images, load_face_reader(profile, files, settings), largest=largest)


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
