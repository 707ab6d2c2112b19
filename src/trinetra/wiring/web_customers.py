"""Customers, their changes, photos and erasures, as the API sees them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import msgspec

from trinetra.client.models import (
    Customer,
    CustomerDetails,
    CustomerUpdate,
    ErasureProgress,
    Explanation,
    FaceMatch,
    FaceMatches,
    MergeCandidate,
    Moment,
    Page,
    SignedReceipt,
    StaffCandidate,
)
from trinetra.detections.photo_face import need_a_photo
from trinetra.errors import ConfigurationError, ModelUnavailable
from trinetra.events import customers as directory
from trinetra.events.erasure import ErasureStatus
from trinetra.identities.tracking.track_faces import Shot
from trinetra.models.manifest import Profile
from trinetra.ports import FaceReader, Gallery
from trinetra.settings import Settings
from trinetra.values import EPOCH, CustomerId, IdentityKind
from trinetra.web.backend import CustomerSearch, NewCustomer, Photo
from trinetra.web.cursors import cursor_of, parts_of
from trinetra.web.problems import NotFound
from trinetra.wiring import customers as desk_module
from trinetra.wiring.customers import CustomerDesk, Known
from trinetra.wiring.enrollment import (
    Enrollment,
    enroll,
    images_of,
    matching_policy,
    shots_of,
)
from trinetra.wiring.event_history import history_of
from trinetra.wiring.explaining import explanation_of, names_in
from trinetra.wiring.forgetting import Eraser
from trinetra.wiring.networks import load_face_reader
from trinetra.wiring.profiles import choose_profile, find_here
from trinetra.wiring.staff import StaffSearches
from trinetra.wiring.web_insights import insight_of

_TIMELINE = 200
_MATCHES = 10
_OF_GALLERY = 50
"""Faces that a search asks the gallery for: several may be of one person."""


@dataclass(frozen=True, slots=True)
class People:
    """The Customers and CustomerChanges of the web, on the desk of this installation."""

    desk: CustomerDesk
    staff: StaffSearches

    async def page(self, caller: str, wanted: CustomerSearch) -> Page[Customer]:
        """Return enrolled customers in the order of enrollment."""
        known = await self.desk.called_by(caller).enrolled()
        begin = _after(wanted.cursor)
        rest = [
            c
            for c in known.heads()
            if (begin is None or _place(c) > begin) and _is_wanted(c, wanted)
        ]
        shown = rest[: wanted.limit]
        more = len(rest) > len(shown)
        return Page[Customer](
            items=tuple(_customer(c, known.photos[c.customer_id]) for c in shown),
            next_cursor=cursor_of(*_place(shown[-1])) if more else None,
        )

    async def show(self, caller: str, customer_id: str) -> CustomerDetails:
        """Return a person with the latest that is on record."""
        shown = await self.desk.called_by(caller).show(CustomerId(customer_id))
        visit = shown.last_visit
        return CustomerDetails(
            customer_id=shown.customer_id,
            customer=_customer(shown.customer, shown.photos) if shown.customer else None,
            also_known_as=shown.also_known_as,
            may_be=shown.may_be,
            last_seen=visit.captured_at if visit else None,
            visits=visit.visit_number if visit else 0,
            recorded=len(shown.records),
            timeline=tuple(map(insight_of, shown.records[: -_TIMELINE - 1 : -1])),
        )

    async def merge_candidates(self, caller: str) -> Sequence[MergeCandidate]:
        """Return the pairs of identities that may be one person, most similar first."""
        desk = self.desk.called_by(caller)
        found = await desk.candidates()
        name = _names(await desk.known())
        return [
            MergeCandidate(
                customer_id=p.customer_id,
                other=p.other or "",
                score=p.score,
                proposed_at=p.at,
                name=name(p.customer_id),
                other_name=name(p.other) if p.other else None,
            )
            for p in found
        ]

    async def staff_candidates(self, caller: str, days: int) -> Sequence[StaffCandidate]:
        """Return customers who behaved like staff on the last days."""
        desk = self.desk.called_by(caller)
        await desk.note("list", None, "staff candidates")
        search = await self.staff.of_days(days)
        people = (await desk.known()).people
        return [
            StaffCandidate(
                customer_id=c.customer_id,
                reasons=c.reasons,
                days=c.days,
                visits=c.visits,
                present_s=c.present_s,
            )
            for c in search.found
            # Who is staff or erased by now was neither when the search was made.
            if people.kind_of(c.customer_id) is not IdentityKind.STAFF
            and not people.is_erased(c.customer_id)
        ]

    async def explain(self, caller: str, subject: str) -> Explanation:
        """Return why an event, a track or a customer is what it is. Raises NotFound."""
        desk = self.desk.called_by(caller)
        known = await desk.known()
        await desk.note("show", CustomerId(subject), "explain")
        past = history_of(desk.settings, file=None, site=None)
        naming = names_in(known.people.copy())

        def read() -> Any:
            # Reading takes seconds and blocks, so it has a loop and a thread of its own.
            return asyncio.run(explanation_of(subject, past, since=EPOCH, name=naming))

        try:
            found = await asyncio.to_thread(read)
        except ConfigurationError as cause:
            raise NotFound(str(cause)) from cause
        story = (
            Moment(at=m.at, event_id=m.event_id, camera=m.camera, told=m.told) for m in found.story
        )
        return Explanation(
            subject=found.subject,
            headline=found.headline,
            because=found.because,
            otherwise=found.otherwise,
            story=tuple(story)[-_TIMELINE:],
        )

    async def update(self, caller: str, customer_id: str, update: CustomerUpdate) -> None:
        """Change name or kind of a customer."""
        kind = IdentityKind(update.kind) if update.kind else None
        wanted = desk_module.CustomerUpdate(update.name, kind, update.consent, update.purpose)
        await self.desk.called_by(caller).update(CustomerId(customer_id), wanted)

    async def merge(self, caller: str, customer_id: str, into: str) -> None:
        """Merge one identity into another, whose id stays."""
        await self.desk.called_by(caller).merge(CustomerId(customer_id), CustomerId(into))

    async def split(self, caller: str, customer_id: str) -> None:
        """Undo a merge."""
        await self.desk.called_by(caller).split(CustomerId(customer_id))

    async def dismiss(self, caller: str, customer_id: str, other: str) -> None:
        """Note that two identities are two people."""
        await self.desk.called_by(caller).dismiss(CustomerId(customer_id), CustomerId(other))


class PhotoReader:
    """Reads faces in photos, one photo at a time; loads its networks at the first one, once."""

    def __init__(self, settings: Settings) -> None:
        self.profile: Profile = choose_profile(settings)
        self._settings = settings
        self._reader: FaceReader | None = None
        self._lock = asyncio.Lock()

    async def shots(self, photos: Sequence[Photo], *, largest: bool) -> dict[str, Shot]:
        """Return the face in each photo. Raises PhotoRejected or ModelUnavailable."""
        contents = {_title(p.name, number): p.content for number, p in enumerate(photos, 1)}
        for name, content in contents.items():
            need_a_photo(name, content)
        async with self._lock:  # a photo of 64 million pixels takes 200 MB
            return await asyncio.to_thread(self._read, contents, largest)

    def _read(self, contents: dict[str, bytes], largest: bool) -> dict[str, Shot]:  # noqa: FBT001
        images = images_of(contents)
        if self._reader is None:
            self._reader = self._loaded()
        return shots_of(images, self._reader, largest=largest)

    def _loaded(self) -> FaceReader:
        profile = self.profile
        wanted = (profile.face_finder, profile.face_embedder, profile.face_beside)
        models = [model for model in wanted if model is not None]
        files = {model.name: find_here(model, self._settings) for model in models}
        if missing := [name for name, file in files.items() if file is None]:
            raise ModelUnavailable(
                f"faces in photos cannot be read here, because this machine lacks "
                f"{', '.join(missing)}: run `trinetra models fetch` on it, and try again"
            )
        found = {name: file for name, file in files.items() if file is not None}
        return load_face_reader(profile, found, self._settings)


@dataclass(frozen=True, slots=True)
class FaceDesk:
    """The Photos of the web; ``gallery`` also has the faces of people who are not enrolled."""

    desk: CustomerDesk
    reader: PhotoReader
    gallery: Gallery | None = None

    async def search(self, caller: str, photo: Photo, *, largest: bool) -> FaceMatches:
        """Return the people whose faces are most similar to the one in a photo."""
        [shot] = (await self.reader.shots([photo], largest=largest)).values()
        desk, policy = self.desk.called_by(caller), matching_policy(self.reader.profile)
        best: dict[CustomerId, tuple[float, IdentityKind]] = {}
        known = await desk.known()
        for customer_id, cosine, kind in await self._similar(shot):
            head = known.people.canonical(customer_id)
            best[head] = max((policy.score(cosine), kind), best.get(head, (0.0, kind)))
        ranked = sorted(best.items(), key=lambda item: -item[1][0])[:_MATCHES]
        await desk.note("search", None, f"photo, {len(ranked)} people")
        name = _names(known)
        matches = (
            FaceMatch(
                customer_id=who,
                kind=(known.people.kind_of(who) or kind).value,
                score=round(score, 4),
                is_match=score >= policy.similarity,
                name=name(who),
            )
            for who, (score, kind) in ranked
            if not known.people.is_erased(who)
        )
        return FaceMatches(items=tuple(matches), quality=shot.quality, size_px=shot.size_px)

    async def _similar(self, shot: Shot) -> list[tuple[CustomerId, float, IdentityKind]]:
        model = self.reader.profile.face_embedder.version
        templates = await self.desk.customer_log.templates(model)
        found = [(e.customer_id, float(shot.embedding @ e.embedding), e.kind) for e in templates]
        if self.gallery is not None:
            [near] = await self.gallery.search([shot.embedding], _OF_GALLERY)
            found += [(match.customer_id, match.cosine, match.kind) for match in near]
        return found

    async def enroll(self, caller: str, photos: Sequence[Photo], wish: NewCustomer) -> Customer:
        """Enroll a person from photos."""
        kind, purpose = IdentityKind(wish.kind), wish.purpose or None
        wanted = Enrollment(wish.name, kind, wish.consent, purpose, wish.allow_duplicate)
        wanted.check()
        shots = await self.reader.shots(photos, largest=wish.largest)
        change = await enroll(self.desk.called_by(caller), self.reader.profile, wanted, shots)
        return _customer(directory.described(change.customer_id, change, None), len(shots))


@dataclass(frozen=True, slots=True)
class ErasureDesk:
    """The Erasures of the web."""

    settings: Settings

    async def request(self, caller: str, customer_id: str) -> ErasureProgress:
        """Erase a person here, and ask all other processes to do the same."""
        eraser, who = Eraser(self.settings, caller), CustomerId(customer_id)
        return await _progress(eraser, customer_id, await eraser.forget(who, 0.0))

    async def progress(self, customer_id: str) -> ErasureProgress | None:
        """Return how far an erasure is; None if none was requested."""
        eraser = Eraser(self.settings)
        status = await eraser.status(CustomerId(customer_id))
        return None if status is None else await _progress(eraser, customer_id, status)


async def _progress(eraser: Eraser, customer_id: str, status: ErasureStatus) -> ErasureProgress:
    signed = await eraser.receipt(status)
    return ErasureProgress(
        customer_id=customer_id,
        is_done=status.settled_at is not None,
        asked_at=status.erasure.asked_at,
        done_at=status.settled_at,
        awaited=status.awaited,
        receipt=SignedReceipt(**msgspec.structs.asdict(signed)),
    )


def _customer(customer: directory.Customer, photos: int) -> Customer:
    return Customer(
        customer_id=customer.customer_id,
        name=customer.name,
        kind=customer.kind.value,
        consent=customer.consent,
        purpose=customer.purpose,
        enrolled_at=customer.enrolled_at,
        photos=photos,
    )


def _names(known: Known) -> Callable[[CustomerId], str | None]:
    def name(who: CustomerId) -> str | None:
        customer = known.people.customers.get(known.people.canonical(who))
        return customer.name if customer else None

    return name


def _place(customer: directory.Customer) -> tuple[str, str]:
    return customer.enrolled_at.astimezone(UTC).isoformat(), customer.customer_id


def _after(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    at, customer_id = parts_of(cursor, 2)
    return at, customer_id


def _is_wanted(customer: directory.Customer, wanted: CustomerSearch) -> bool:
    text = wanted.text.strip().casefold()
    is_kind = wanted.kind is None or customer.kind.value == wanted.kind
    return is_kind and (
        not text or text in (customer.name or "").casefold() or text in customer.customer_id
    )


def _title(name: str, number: int) -> str:
    """Return a photo's name, which may be that of another one."""
    return name if number == 1 else f"{name} ({number})"
