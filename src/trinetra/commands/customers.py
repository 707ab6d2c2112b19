"""``trinetra customers``: lists, changes, merges and splits customers.

Names are shown by these commands and by ``explain --names`` alone.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich import box
from rich.table import Table

from trinetra.commands.audit_trail import record_change, record_deed
from trinetra.commands.console import note, output, print_json, print_text, say
from trinetra.commands.lazy import LazyCommand, lazy_group
from trinetra.customers.customer_feed import read_people
from trinetra.errors import CustomerConflict
from trinetra.events.customers import (
    ChangeKind,
    Customer,
    CustomerChange,
    CustomerDirectory,
    described,
)
from trinetra.events.schema import InsightEvent, Visit
from trinetra.identities.decision.enrollment import need_a_basis
from trinetra.identities.decision.lifecycle import is_summary
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.values import CustomerId, IdentityKind, derive_id
from trinetra.wiring.profiles import choose_profile
from trinetra.wiring.stores import open_customer_log, open_store

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


@dataclass(frozen=True, slots=True)
class Known:
    """The customers of the log, with their numbers of photos that the model in use has read."""

    people: CustomerDirectory
    photos: Counter[CustomerId]
    model: str


def kind_named(kind: Kind) -> IdentityKind:
    """Return the kind that an option of the command line names."""
    return IdentityKind(kind.replace("-", "_"))


@customers.command("list")
def list_customers(*, as_json: Json = False) -> None:
    """List the enrolled customers."""
    settings = _settings()
    known = asyncio.run(_read(settings))
    record_deed(settings, "list", None)
    rows = [_row(customer, known) for customer in _heads(known.people)]
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
    settings = _settings()
    who = CustomerId(customer_id)
    known = asyncio.run(_read(settings))
    visit = asyncio.run(last_visit(settings, known.people, who))
    need_known(known.people, who, visit)
    record_deed(settings, "show", who)
    told = _told_of(known, known.people.canonical(who), visit)
    records = asyncio.run(_records_of(settings, known.people.members(who) | {who}))
    if as_json:
        print_json(told | {"records": msgspec.to_builtins(records)})
        return
    for field, value in told.items():
        say(f"{field}: {_shown(value)}")
    for event in records:
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
    if name is None and kind is None:
        raise CustomerConflict("nothing to change: add --name or --kind")
    if name is not None:
        need_a_name(name)

    def change(people: CustomerDirectory) -> CustomerChange:
        who = people.canonical(CustomerId(customer_id))
        before = people.customers.get(who)
        becomes = kind_named(kind) if kind else (before.kind if before else IdentityKind.ENROLLED)
        given = {"kind": becomes, "name": name, "consent": consent, "purpose": purpose}
        changed = change_of(people, "renamed", who, **given)
        after = described(who, changed, before)
        need_a_basis(after.kind, consent=after.consent, purpose=after.purpose)
        return changed

    asyncio.run(_write(_settings(), change, customer_id))
    output().print(f"{customer_id} was changed.", markup=False)


@customers.command("merge")
def merge(customer_id: _Id, other: _Other) -> None:
    """Merge ID into OTHER: both are one person, known as OTHER."""

    def change(people: CustomerDirectory) -> CustomerChange:
        who, into = CustomerId(customer_id), CustomerId(other)
        if who in people.customers and into not in people.customers and who != into:
            raise CustomerConflict(
                f"{who} is enrolled and {into} is not: merge the other way round, "
                f"trinetra customers merge {into} {who}"
            )
        return change_of(people, "merged", who, other=into)

    asyncio.run(_write(_settings(), change, customer_id, other))
    say(
        f"{customer_id} is merged into {other}; undo it with: trinetra customers split "
        f"{customer_id}"
    )


@customers.command("split")
def split(customer_id: _Id) -> None:
    """Undo a merge; the resolver does not merge the two again by itself."""

    def change(people: CustomerDirectory) -> CustomerChange:
        who = CustomerId(customer_id)
        if (into := people.merged.get(who)) is None:
            raise CustomerConflict(f"{who} is not merged: there is nothing to undo")
        return change_of(people, "split", who, other=into)

    asyncio.run(_write(_settings(), change, customer_id))
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
        _dismiss(*dismiss)
        return
    known = asyncio.run(_read(_settings()))
    rows: list[dict[str, Any]] = [
        {"customer_id": p.customer_id, "other": p.other, "score": p.score, "at": p.at.isoformat()}
        for p in sorted(known.people.proposed.values(), key=lambda p: -(p.score or 0.0))
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


def need_a_name(name: str) -> None:
    """Raise CustomerConflict for an empty, overlong or unprintable name."""
    most = 100
    if not name.strip() or not name.isprintable() or len(name) > most:
        raise CustomerConflict(f"a name has 1 to {most} printable characters")


def change_of(
    people: CustomerDirectory, change: ChangeKind, who: CustomerId, **fields: Any
) -> CustomerChange:
    """Return a change by the operator, with an id derived from the state of the log before it.

    An order that is given twice at the same time is carried out once; given later it is another.
    """
    return CustomerChange(
        change_id=derive_id("chg", change, who, fields.get("other"), people.number),
        change=change,
        customer_id=who,
        at=datetime.now(UTC),
        **fields,
    )


def _dismiss(one: str, two: str) -> None:
    def change(people: CustomerDirectory) -> CustomerChange:
        who, other = CustomerId(one), CustomerId(two)
        if not {(who, other), (other, who)} & people.proposed.keys():
            raise CustomerConflict(f"there is no proposal to merge {who} and {other}")
        return change_of(people, "merge_dismissed", who, other=other)

    asyncio.run(_write(_settings(), change))
    say(f"{one} and {two} remain two people.")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)


def _settings() -> Settings:
    configure_logging(as_json=False, level="ERROR")
    return load_settings()


async def _read(settings: Settings) -> Known:
    model = choose_profile(settings).face_embedder.version
    async with open_customer_log(settings) as customer_log:
        people, entries = await read_people(customer_log), await customer_log.templates(model)
    of_photos = (e.customer_id for e in entries if not is_summary(e))
    return Known(people, Counter(map(people.canonical, of_photos)), model)


async def _write(
    settings: Settings, change: Callable[[CustomerDirectory], CustomerChange], *must_exist: str
) -> None:
    """Write the change that follows from the customer log; the people must exist."""
    async with open_customer_log(settings) as customer_log:
        people = await read_people(customer_log)
        for customer_id in map(CustomerId, must_exist):
            visit = await last_visit(settings, people, customer_id)
            need_known(people, customer_id, visit)
        written = change(people)
        await customer_log.write([written])
    record_change(settings, written)


async def last_visit(
    settings: Settings, people: CustomerDirectory, customer_id: CustomerId
) -> Visit | None:
    """Return a person's most recent visit, unless it was withdrawn."""
    async with open_store(settings) as store:
        for each in (customer_id, people.canonical(customer_id)):
            found = await store.last_visit(each)
            if isinstance(found, Visit) and not found.withdrawn:
                return found
    return None


async def _records_of(settings: Settings, ids: Iterable[CustomerId]) -> list[InsightEvent]:
    async with open_store(settings) as store:
        return await store.records_of(sorted(ids))


def need_known(people: CustomerDirectory, customer_id: CustomerId, visit: Visit | None) -> None:
    """Raise CustomerConflict for an unknown id, or that of an erased person."""
    if people.is_erased(customer_id):
        raise CustomerConflict(f"{customer_id} was erased: no data of that person is kept")
    is_in_book = (
        customer_id in people.customers
        or customer_id in people.merged
        or customer_id in people.merged.values()
        or any(customer_id in pair for pair in people.proposed)
    )
    if not is_in_book and visit is None:
        raise CustomerConflict(
            f"{customer_id} is unknown: no such customer was enrolled or has visited; "
            "see `trinetra customers list`, or the customer_id of an event"
        )


def _heads(people: CustomerDirectory) -> list[Customer]:
    """Return the customers that are not merged into another, the latest last."""
    heads = [c for c in people.customers.values() if c.customer_id not in people.merged]
    return sorted(heads, key=lambda c: (c.enrolled_at, c.customer_id))


def _row(customer: Customer, known: Known) -> dict[str, Any]:
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "kind": customer.kind.value,
        "consent": customer.consent,
        "purpose": customer.purpose,
        "enrolled_at": customer.enrolled_at.isoformat(),
        "photos": known.photos[customer.customer_id],
    }


def _told_of(known: Known, who: CustomerId, visit: Visit | None) -> dict[str, Any]:
    people, customer = known.people, known.people.customers.get(who)
    described = _row(customer, known) if customer else {"customer_id": who, "kind": "anonymous"}
    may_be = sorted(b if a == who else a for a, b in people.proposed if who in {a, b})
    return {
        **described,
        "also_known_as": sorted(people.members(who) - {who}),
        "may_be": may_be,
        "last_seen": visit.captured_at.isoformat() if visit else None,
        "visits": visit.visit_number if visit else 0,
    }
