"""``/v1/customers``: enrolled people, their evidence, enrollment, search by photo, and erasure."""

from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trinetra.client.models import (
    Customer,
    CustomerDetails,
    CustomerKind,
    CustomerOther,
    CustomerUpdate,
    ErasureProgress,
    Explanation,
    FaceMatches,
    MergeCandidate,
    Page,
    StaffCandidate,
)
from trinetra.web.access import Permission, Principal, requires
from trinetra.web.backend import CustomerChanges, Customers, CustomerSearch, NewCustomer
from trinetra.web.photos import form_bytes, form_schema, read_photo_form
from trinetra.web.problems import Invalid, NotFound
from trinetra.web.state import Backend, backend, needed

router = APIRouter(tags=["customers"])
Reader = Annotated[Principal, requires(Permission.READ_CUSTOMERS)]
Writer = Annotated[Principal, requires(Permission.READ_CUSTOMERS, Permission.WRITE_CUSTOMERS)]
Eraser = Annotated[Principal, requires(Permission.ERASE_CUSTOMERS)]
Platform = Annotated[Backend, backend]
CustomerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Subject = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="Id of an event, a track or a customer."),
]
Form = TypeVar("Form", bound=BaseModel)
MOST_PHOTOS = 5
_NAME = "customers"


class SearchForm(BaseModel):
    """The fields of a search by photo."""

    model_config = ConfigDict(extra="ignore")
    largest: bool = Field(default=False, description="Take the largest of several faces.")


class EnrollmentForm(SearchForm):
    """The fields of an enrollment."""

    name: str = Field(min_length=1, max_length=100, description="Display name.")
    kind: CustomerKind = "enrolled"
    consent: bool = Field(default=False, description="The person has agreed to this kind.")
    purpose: str | None = Field(default=None, max_length=500, description="Why the face is kept.")
    allow_duplicate: bool = Field(
        default=False, description="Even if an enrolled customer has nearly this face."
    )


@router.get("/customers")
async def list_customers(
    caller: Reader,
    platform: Platform,
    kind: CustomerKind | None = None,
    text: Annotated[str, Query(max_length=100, description="Part of a name or an id.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[Customer]:
    """Return enrolled customers in the order of their enrollment."""
    people = needed(platform.customers, _NAME)
    return await people.page(caller.name, CustomerSearch(kind, text, limit, cursor))


@router.post(
    "/customers",
    status_code=201,
    max_body_size=form_bytes(MOST_PHOTOS),
    openapi_extra=form_schema(EnrollmentForm, MOST_PHOTOS),
)
async def enroll(caller: Writer, platform: Platform, request: Request) -> Customer:
    """Enroll a person from one to five photos, which are not kept.

    Needs a basis: the person's consent, or for staff and watchlist a purpose.
    """
    photos = needed(platform.photos, "photos")
    form = await read_photo_form(request, MOST_PHOTOS)
    fields = _fields(EnrollmentForm, form.fields)
    return await photos.enroll(caller.name, form.photos, NewCustomer(**fields.model_dump()))


@router.post(
    "/customers/search", max_body_size=form_bytes(1), openapi_extra=form_schema(SearchForm, 1)
)
async def search_by_photo(caller: Reader, platform: Platform, request: Request) -> FaceMatches:
    """Return the people whose faces are most similar to the one in a photo, which is not kept."""
    photos = needed(platform.photos, "photos")
    form = await read_photo_form(request, 1)
    fields = _fields(SearchForm, form.fields)
    return await photos.search(caller.name, form.photos[0], largest=fields.largest)


@router.get("/customers/merge-candidates")
async def list_merge_candidates(caller: Reader, platform: Platform) -> Page[MergeCandidate]:
    """Return pairs of identities that may be one person, most similar first."""
    found = await needed(platform.customers, _NAME).merge_candidates(caller.name)
    return Page[MergeCandidate](items=tuple(found))


@router.get("/customers/staff-candidates")
async def list_staff_candidates(
    caller: Reader, platform: Platform, days: Annotated[int, Query(ge=1, le=365)] = 7
) -> Page[StaffCandidate]:
    """Return customers who behaved like staff; to accept one, change the kind to ``staff``."""
    found = await needed(platform.customers, _NAME).staff_candidates(caller.name, days)
    return Page[StaffCandidate](items=tuple(found))


@router.get("/customers/{customer_id}")
async def show(caller: Reader, platform: Platform, customer_id: CustomerId) -> CustomerDetails:
    """Return a person with the latest crossings, stays and visits on record."""
    return await needed(platform.customers, _NAME).show(caller.name, customer_id)


@router.patch("/customers/{customer_id}")
async def update(
    caller: Writer, platform: Platform, customer_id: CustomerId, wanted: CustomerUpdate
) -> CustomerDetails:
    """Change name or kind of a customer; another kind needs a basis of its own."""
    changes, people = _changes(platform)
    await changes.update(caller.name, customer_id, wanted)
    return await people.show(caller.name, customer_id)


@router.post("/customers/{customer_id}/merge")
async def merge(
    caller: Writer, platform: Platform, customer_id: CustomerId, into: CustomerOther
) -> CustomerDetails:
    """Merge an identity into another: both are one person, known by the other's id."""
    changes, people = _changes(platform)
    await changes.merge(caller.name, customer_id, into.customer_id)
    return await people.show(caller.name, into.customer_id)


@router.post("/customers/{customer_id}/split")
async def split(caller: Writer, platform: Platform, customer_id: CustomerId) -> CustomerDetails:
    """Undo a merge; the two are not merged again by themselves."""
    changes, people = _changes(platform)
    await changes.split(caller.name, customer_id)
    return await people.show(caller.name, customer_id)


@router.post("/customers/{customer_id}/dismiss", status_code=204)
async def dismiss(
    caller: Writer, platform: Platform, customer_id: CustomerId, other: CustomerOther
) -> None:
    """Note that a pair of merge candidates are two people."""
    await _changes(platform)[0].dismiss(caller.name, customer_id, other.customer_id)


@router.post("/customers/{customer_id}/erasure", status_code=202)
async def erase(caller: Eraser, platform: Platform, customer_id: CustomerId) -> ErasureProgress:
    """Erase a person for good, under all ids; repeating it is harmless.

    It is complete once every process has confirmed: ask again until ``is_done``.
    """
    return await needed(platform.erasures, _NAME).request(caller.name, customer_id)


@router.get("/customers/{customer_id}/erasure")
async def read_erasure(
    _caller: Eraser, platform: Platform, customer_id: CustomerId
) -> ErasureProgress:
    """Return how far the erasure of a person is, with its signed receipt."""
    found = await needed(platform.erasures, _NAME).progress(customer_id)
    if found is None:
        raise NotFound(f"no erasure of {customer_id} was requested")
    return found


@router.get("/explanations/{subject}")
async def explain(caller: Reader, platform: Platform, subject: Subject) -> Explanation:
    """Return why an event, a track or a customer is what it is, from the history of events."""
    return await needed(platform.customers, _NAME).explain(caller.name, subject)


def _changes(platform: Backend) -> tuple[CustomerChanges, Customers]:
    return needed(platform.customer_changes, _NAME), needed(platform.customers, _NAME)


def _fields(model: type[Form], given: object) -> Form:
    """Return the fields of a form. Raises Invalid, naming each that is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as cause:
        faults = (f"{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in cause.errors())
        raise Invalid("; ".join(faults)) from cause
