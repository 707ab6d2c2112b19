"""Customers: search by photo or name, timeline and reasons, merge and undo, forget."""

from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response

from trinetra.client import ApiProblem, Photo
from trinetra.client.models import CustomerKind
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.photos import form_bytes, read_photo_form

reading = APIRouter(dependencies=[requires(Permission.READ_CUSTOMERS)])
writing = APIRouter(dependencies=[requires(Permission.READ_CUSTOMERS, Permission.WRITE_CUSTOMERS)])
erasing = APIRouter(dependencies=[requires(Permission.READ_CUSTOMERS, Permission.ERASE_CUSTOMERS)])
KINDS: dict[str, str] = {
    "enrolled": message("Enrolled"),
    "vip": message("VIP"),
    "staff": message("Staff"),
    "watchlist": message("Watchlist"),
    "opted_out": message("Opted out"),
    "anonymous": message("Not enrolled"),
}
CHOICES: tuple[CustomerKind, ...] = ("enrolled", "vip", "staff", "watchlist", "opted_out")
EVENTS: dict[str, str] = {
    "line_crossing": message("Crossed a line"),
    "zone_stay": message("Stayed in a zone"),
    "visit": message("Visit"),
    "passage": message("Passed a door"),
    "queue_visit": message("Queued"),
    "purchase": message("Purchase"),
    "unpaid_stay": message("At a till without a receipt"),
    "journey": message("Way through the shop"),
    "vehicle_link": message("Came by vehicle"),
}
MOST_PHOTOS = 5
PageOf = Annotated[Page, page]
CustomerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
OtherId = Annotated[str, Form(max_length=64)]
Name = Annotated[str, Form(max_length=100)]
Purpose = Annotated[str, Form(max_length=500)]


@reading.get("/customers")
async def customers(
    page: PageOf,
    kind: CustomerKind | None = None,
    text: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return the list of customers, with pairs that may be one person."""
    found = await page.client.customers(kind=kind, text=text, cursor=cursor)
    return page.render(
        "customers.html",
        customers=found.items,
        next_cursor=found.next_cursor,
        kind=kind,
        text=text,
        candidates=(await page.client.merge_candidates()).items,
        staff=(await page.client.staff_candidates()).items,
        **await _common(page),
    )


@reading.post("/customers/search", max_body_size=form_bytes(1))
async def search(page: PageOf, request: Request) -> Response:
    """Return the people who look like the one in a photo."""
    form = await read_photo_form(request, 1)
    [photo] = form.photos
    asked = page.client.search_by_photo(Photo(*photo), largest="largest" in form.fields)
    return await _answer(page, asked, "customers_found.html", "found")


@writing.post("/customers/enroll", max_body_size=form_bytes(MOST_PHOTOS))
async def enroll(page: PageOf, request: Request) -> Response:
    """Enroll a person; return a link to the page of that person."""
    form = await read_photo_form(request, MOST_PHOTOS)
    fields = form.fields
    wanted: Any = fields.get("kind", "enrolled")
    asked = page.client.enroll_customer(
        fields.get("name", ""),
        [Photo(*photo) for photo in form.photos],
        kind=wanted,
        consent="consent" in fields,
        purpose=fields.get("purpose") or None,
        allow_duplicate="allow_duplicate" in fields,
        largest="largest" in fields,
    )
    return await _answer(page, asked, "customers_enrolled.html", "enrolled")


@reading.get("/customers/why/{subject}")
async def why(page: PageOf, subject: CustomerId) -> Response:
    """Return why an event, a track or a customer is what it is."""
    found = await page.client.explanation(subject)
    return page.render("customers_why.html", found=found, **await _common(page))


@reading.get("/customers/{customer_id}")
async def customer(page: PageOf, customer_id: CustomerId) -> Response:
    """Return the page of a person; of an erased one, its receipt."""
    try:
        found = await page.client.customer(customer_id)
    except ApiProblem:
        if not page.caller.may(Permission.ERASE_CUSTOMERS):
            raise
        return await _erased(page, customer_id)
    return page.render("customer.html", **await _details(page, found))


@writing.post("/customers/{customer_id}/update")
async def update(
    page: PageOf,
    customer_id: CustomerId,
    kind: Annotated[CustomerKind, Form()],
    name: Name = "",
    purpose: Purpose = "",
    *,
    consent: Annotated[bool, Form()] = False,
) -> Response:
    """Change a person; return the person as it is then."""
    changed = page.client.update_customer(
        customer_id, name=name or None, kind=kind, consent=consent, purpose=purpose or None
    )
    return await _changed(page, customer_id, changed)


@writing.post("/customers/{customer_id}/staff")
async def accept_as_staff(page: PageOf, customer_id: CustomerId, purpose: Purpose = "") -> Response:
    """Accept a customer who behaves like staff as staff; go to the list."""
    changed = page.client.update_customer(customer_id, kind="staff", purpose=purpose or None)
    return await _moved(page, changed, "")


@writing.post("/customers/{customer_id}/merge")
async def merge(page: PageOf, customer_id: CustomerId, into: OtherId) -> Response:
    """Merge this identity into another; go to the page of the other."""
    return await _moved(page, page.client.merge_customers(customer_id, into), into)


@writing.post("/customers/{customer_id}/split")
async def split(page: PageOf, customer_id: CustomerId) -> Response:
    """Undo a merge; go to the page of the identity that is separate again."""
    return await _moved(page, page.client.split_customer(customer_id), customer_id)


@writing.post("/customers/{customer_id}/dismiss")
async def dismiss(page: PageOf, customer_id: CustomerId, other: OtherId) -> Response:
    """Note that two identities are two people; go to the list."""
    return await _moved(page, page.client.dismiss_merge_candidate(customer_id, other), "")


@erasing.post("/customers/{customer_id}/forget")
async def forget(page: PageOf, customer_id: CustomerId) -> Response:
    """Erase a person; return how far that is, with the receipt."""
    return await _answer(
        page, page.client.erase_customer(customer_id), "customer_erasure.html", "erasure"
    )


@erasing.get("/customers/{customer_id}/erasure")
async def erasure(page: PageOf, customer_id: CustomerId) -> Response:
    """Return how far an erasure is, which the page asks again while it is open."""
    return await _answer(page, page.client.erasure(customer_id), "customer_erasure.html", "erasure")


@erasing.get("/customers/{customer_id}/receipt")
async def receipt(page: PageOf, customer_id: CustomerId) -> Response:
    """Return the signed receipt of an erasure as a file."""
    found = await page.client.erasure(customer_id)
    headers = {"Content-Disposition": f'attachment; filename="receipt-{customer_id}.json"'}
    text = found.receipt.model_dump_json(indent=2)
    return Response(text, media_type="application/json", headers=headers)


async def _common(page: Page) -> dict[str, Any]:
    text = page.words.text
    return {
        "site": await page.client.site(),
        "kinds": {kind: text(KINDS[kind]) for kind in CHOICES},
        "kind_of": lambda kind: text(KINDS.get(kind) or kind),
        "event_of": lambda kind: text(EVENTS.get(kind) or kind),
    }


async def _details(page: Page, found: Any) -> dict[str, Any]:
    return {"person": found, "fault": None, **await _common(page)}


async def _erased(page: Page, customer_id: str) -> Response:
    found = await page.client.erasure(customer_id)
    return page.render("customer_erased.html", erasure=found, **await _common(page))


async def _answer(page: Page, asked: Awaitable[Any], template: str, name: str) -> Response:
    """Return a part of the page with the answer, or with what is wrong."""
    try:
        answer = await asked
    except ApiProblem as failure:
        return page.render("notice.html", told=failure.detail)
    return page.render(template, **{name: answer}, **await _common(page))


async def _changed(page: Page, customer_id: str, asked: Awaitable[Any]) -> Response:
    fault = None
    try:
        await asked
    except ApiProblem as failure:
        fault = failure.detail
    details = await _details(page, await page.client.customer(customer_id))
    return page.render("customer_body.html", **details | {"fault": fault})


async def _moved(page: Page, asked: Awaitable[Any], customer_id: str) -> Response:
    """Do what is asked, and let the browser go to the page of a customer."""
    try:
        await asked
    except ApiProblem as failure:
        return page.render("notice.html", told=failure.detail)
    return Response(headers={"HX-Redirect": f"/customers/{customer_id}".rstrip("/")})


router = APIRouter()
for _part in (reading, writing, erasing):
    router.include_router(_part)
