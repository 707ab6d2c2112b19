"""``trinetra customers``: lists, changes, merges and splits customers.

Names are shown by these commands and by ``explain --names`` alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import typer
from rich import box
from rich.table import Table

from trinetra.commands.console import note, output, print_json, print_text, say
from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.events.customers import Customer
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId, IdentityKind
from trinetra.wiring.customers import CustomerDesk, CustomerUpdate, Shown

T = TypeVar("T")
Kind = Literal["enrolled", "vip", "staff", "watchlist", "opted-out"]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Id = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
_Other = Annotated[str, typer.Argument(metavar="OTHER", show_default=False)]

_ID_WIDTH = 28

customers = typer.Typer(
    cls=lazy_group(
        {
            "enroll": LazyCommand(
                "enrollment", "Enroll a person from photos; the photos themselves are not kept."
            ),
            "forget": LazyCommand(
                "forget", "Erase a person for good, under all ids, and print a signed receipt."
            ),
            "staff-candidates": LazyCommand(
                "staff_candidates",
                "List customers who behave like staff, with the reasons; nothing is changed.",
            ),
            "verify-receipt": LazyCommand(
                "receipts",
                "Verify the signature of a receipt, and that it is final; exit code 1 if not.",
            ),
        }
    ),
    no_args_is_help=True,
    help="Customers: enrollment, merging and erasure.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(customers, name="customers")


def kind_named(kind: Kind) -> IdentityKind:
    """Return the kind that an option of the command line names."""
    return IdentityKind(kind.replace("-", "_"))


@customers.command("list")
def list_customers(*, as_json: Json = False) -> None:
    """List the enrolled customers."""
    known = with_desk(lambda desk: desk.enrolled())
    rows = [_row(c, known.photos[c.customer_id]) for c in known.heads()]
    if as_json:
        print_json(rows)
        return
    if not rows:
        output().print("No customers are enrolled.")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in ("id", "name", "kind", "consent", "since", "photos"):
        is_name = heading == "name"
        table.add_column(heading, no_wrap=not is_name, overflow="fold" if is_name else "ignore")
    for row in rows:
        consent = "yes" if row["consent"] else "no"
        since = row["enrolled_at"][:10]
        name = row["name"] or "-"
        table.add_row(row["customer_id"], name, row["kind"], consent, since, str(row["photos"]))
    output().print(table)
    if lacking := [row for row in rows if not row["photos"]]:
        note(f"{len(lacking)} have no face read by {known.model}: enroll them again from photos")


@customers.command("show")
def show(customer_id: _Id, *, as_json: Json = False) -> None:
    """Show a customer, with every crossing, stay and visit that is kept."""
    shown = with_desk(lambda desk: desk.show(CustomerId(customer_id)))
    told = _told_of(shown)
    if as_json:
        print_json(told | {"records": msgspec.to_builtins(shown.records)})
        return
    for field, value in told.items():
        say(f"{field}: {_shown(value)}")
    for event in shown.records:
        print_text(
            f"{event.captured_at:%Y-%m-%d %H:%M:%S} {event.__struct_config__.tag} "
            f"{event.camera_id} {event.event_id}\n"
        )


@customers.command("update")
def update(
    customer_id: _Id,
    *,
    name: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="How the person is treated.")] = None,
    consent: Annotated[
        bool, typer.Option("--consent", help="The person has agreed to this kind.")
    ] = False,
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="TEXT", help="Why the face is kept.")
    ] = None,
) -> None:
    """Change the name or the kind of a customer."""
    given = CustomerUpdate(name, kind_named(kind) if kind else None, consent, purpose)
    with_desk(lambda desk: desk.update(CustomerId(customer_id), given))
    output().print(f"{customer_id} was changed.", markup=False)


@customers.command("merge")
def merge(customer_id: _Id, other: _Other) -> None:
    """Merge ID into OTHER: both are one person, known as OTHER."""
    with_desk(lambda desk: desk.merge(CustomerId(customer_id), CustomerId(other)))
    say(
        f"{customer_id} is merged into {other}; undo it with: trinetra customers split "
        f"{customer_id}"
    )


@customers.command("split")
def split(customer_id: _Id) -> None:
    """Undo a merge; the resolver does not merge the two again by itself."""
    with_desk(lambda desk: desk.split(CustomerId(customer_id)))
    output().print(f"{customer_id} is a separate person again.", markup=False)


@customers.command("merge-candidates")
def merge_candidates(
    *,
    dismiss: Annotated[
        tuple[str, str] | None,
        typer.Option("--dismiss", metavar="ID OTHER", help="They are two people."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List identities that may be one person; merge or dismiss them."""
    if dismiss is not None:
        one, two = dismiss
        with_desk(lambda desk: desk.dismiss(CustomerId(one), CustomerId(two)))
        say(f"{one} and {two} remain two people.")
        return
    found = with_desk(lambda desk: desk.candidates())
    rows: list[dict[str, Any]] = [
        {"customer_id": p.customer_id, "other": p.other, "score": p.score, "at": p.at.isoformat()}
        for p in found
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        output().print("There are no merge candidates.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("id", "may be"):
        table.add_column(heading, no_wrap=True, min_width=_ID_WIDTH)
    for heading in ("score", "proposed"):
        table.add_column(heading)
    for row in rows:
        score = f"{row['score']:.3f}" if row["score"] else "-"
        table.add_row(row["customer_id"], row["other"], score, row["at"][:10])
    output().print(table)
    note("merge them: trinetra customers merge ID OTHER; or: merge-candidates --dismiss ID OTHER")


def with_desk(do: Callable[[CustomerDesk], Awaitable[T]]) -> T:
    """Return what an operation on the customers of this installation returns."""

    async def run() -> T:
        async with CustomerDesk.open(_settings()) as desk:
            return await do(desk)

    return asyncio.run(run())


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)


def _settings() -> Settings:
    configure_logging(as_json=False, level="ERROR")
    return load_settings()


def _row(customer: Customer, photos: int) -> dict[str, Any]:
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "kind": customer.kind.value,
        "consent": customer.consent,
        "purpose": customer.purpose,
        "enrolled_at": customer.enrolled_at.isoformat(),
        "photos": photos,
    }


def _told_of(shown: Shown) -> dict[str, Any]:
    who, customer, visit = shown.customer_id, shown.customer, shown.last_visit
    described = (
        _row(customer, shown.photos) if customer else {"customer_id": who, "kind": "anonymous"}
    )
    return {
        **described,
        "also_known_as": list(shown.also_known_as),
        "may_be": list(shown.may_be),
        "last_seen": visit.captured_at.isoformat() if visit else None,
        "visits": visit.visit_number if visit else 0,
    }
