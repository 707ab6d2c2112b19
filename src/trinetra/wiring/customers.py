"""Reads and changes customers, for the command line and the API alike.

Every operation on the data of a person is entered in the audit trail, under the name of a caller of
the API or of the system user.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from trinetra.adapters.disk.audit import Action
from trinetra.errors import CustomerConflict, UnknownCustomer
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
from trinetra.ports import CustomerLog, ExpiringStore
from trinetra.settings import Settings
from trinetra.values import CustomerId, IdentityKind, derive_id
from trinetra.wiring.audit_trail import record_change, record_deed
from trinetra.wiring.profiles import choose_profile
from trinetra.wiring.stores import open_customer_log, open_store

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """The customers of the log, with their numbers of photos that the model in use has read."""

    people: CustomerDirectory
    photos: Counter[CustomerId]
    model: str

    def heads(self) -> list[Customer]:
        """Return the customers that are not merged into another, the latest last."""
        merged = self.people.merged
        found = [c for c in self.people.customers.values() if c.customer_id not in merged]
        return sorted(found, key=lambda c: (c.enrolled_at, c.customer_id))


@dataclass(frozen=True, slots=True)
class Shown:
    """One person: the customer if enrolled, the last visit, and all that is on record."""

    customer_id: CustomerId
    customer: Customer | None
    photos: int
    also_known_as: tuple[CustomerId, ...]
    may_be: tuple[CustomerId, ...]
    last_visit: Visit | None
    records: tuple[InsightEvent, ...]


@dataclass(frozen=True, slots=True)
class CustomerUpdate:
    """What to change of a customer; None stays as it is."""

    name: str | None = None
    kind: IdentityKind | None = None
    consent: bool = False
    purpose: str | None = None


class _Directory:
    """The customer log as last read; reads only what was added since."""

    def __init__(self, customer_log: CustomerLog, model: str) -> None:
        self._log, self._model = customer_log, model
        self._people = CustomerDirectory()
        self._photos: tuple[int, Counter[CustomerId]] = (-1, Counter())
        self._lock = asyncio.Lock()

    async def people(self) -> CustomerDirectory:
        async with self._lock:
            while changes := await self._log.changes(self._people.number, _AT_ONCE):
                self._people.apply(changes)
            return self._people

    async def known(self) -> Known:
        people = await self.people()
        number, photos = self._photos
        if number != people.number:
            entries = await self._log.templates(self._model)
            of_photos = (e.customer_id for e in entries if not is_summary(e))
            photos = Counter(map(people.canonical, of_photos))
            self._photos = (people.number, photos)
        return Known(people, photos, self._model)


@dataclass(frozen=True)
class CustomerDesk:
    """The customers of one installation; ``by`` is the caller of the API."""

    settings: Settings
    customer_log: CustomerLog
    store: ExpiringStore
    directory: _Directory
    by: str | None = None

    @classmethod
    def on(
        cls, settings: Settings, customer_log: CustomerLog, store: ExpiringStore
    ) -> "CustomerDesk":
        """Return the desk on an open customer log and insight store."""
        model = choose_profile(settings).face_embedder.version
        return cls(settings, customer_log, store, _Directory(customer_log, model))

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["CustomerDesk"]:
        """Open the desk for the block. Raises StoreUnavailable or ConfigurationError."""
        async with open_customer_log(settings) as customer_log, open_store(settings) as store:
            yield cls.on(settings, customer_log, store)

    def called_by(self, name: str) -> "CustomerDesk":
        """Return the desk on behalf of a caller of the API."""
        return replace(self, by=name)

    async def enrolled(self) -> Known:
        """Return the enrolled customers. Raises StoreUnavailable."""
        known = await self.directory.known()
        await self.note("list", None)
        return known

    async def known(self) -> Known:
        """Return the enrolled customers to a caller that shows none of them."""
        return await self.directory.known()

    async def show(self, who: CustomerId) -> Shown:
        """Return a person. Raises CustomerConflict for an unknown one, StoreUnavailable."""
        known = await self.directory.known()
        people = known.people
        visit = await self.last_visit(who)
        need_known(people, who, visit)
        await self.note("show", who)
        head, ids = people.canonical(who), people.members(who)
        return Shown(
            customer_id=head,
            customer=people.customers.get(head),
            photos=known.photos[head],
            also_known_as=tuple(sorted(ids - {head})),
            may_be=tuple(
                sorted(b if a == head else a for a, b in people.proposed if head in (a, b))
            ),
            last_visit=visit,
            records=tuple(await self.store.records_of(sorted(ids | {who}))),
        )

    async def candidates(self) -> list[CustomerChange]:
        """Return the proposals to merge two identities, the most similar first."""
        people = await self.directory.people()
        await self.note("list", None, "merge candidates")
        return sorted(people.proposed.values(), key=lambda p: -(p.score or 0.0))

    async def update(self, customer_id: CustomerId, update: CustomerUpdate) -> CustomerChange:
        """Change name or kind of a customer. Raises CustomerConflict."""
        if update.name is None and update.kind is None:
            raise CustomerConflict("nothing to change: give a name (--name) or a kind (--kind)")
        if update.name is not None:
            need_a_name(update.name)
        return await self.write(lambda people: _renamed(people, customer_id, update), customer_id)

    async def merge(self, who: CustomerId, into: CustomerId) -> CustomerChange:
        """Merge one identity into another, whose id stays. Raises CustomerConflict."""

        def change(people: CustomerDirectory) -> CustomerChange:
            if who in people.customers and into not in people.customers and who != into:
                raise CustomerConflict(
                    f"{who} is enrolled and {into} is not: merge the other way round, "
                    f"trinetra customers merge {into} {who}"
                )
            return change_of(people, "merged", who, other=into)

        return await self.write(change, who, into)

    async def split(self, who: CustomerId) -> CustomerChange:
        """Undo a merge. Raises CustomerConflict if there is none."""

        def change(people: CustomerDirectory) -> CustomerChange:
            if (into := people.merged.get(who)) is None:
                raise CustomerConflict(f"{who} is not merged: there is nothing to undo")
            return change_of(people, "split", who, other=into)

        return await self.write(change, who)

    async def dismiss(self, who: CustomerId, other: CustomerId) -> CustomerChange:
        """Note that two identities are two people. Raises CustomerConflict without a proposal."""

        def change(people: CustomerDirectory) -> CustomerChange:
            if not people.is_proposed(who, other):
                raise CustomerConflict(f"there is no proposal to merge {who} and {other}")
            return change_of(people, "merge_dismissed", who, other=other)

        return await self.write(change)

    async def write(
        self, change: Callable[[CustomerDirectory], CustomerChange], *must_exist: CustomerId
    ) -> CustomerChange:
        """Write the change that follows from the customer log; the people must exist."""
        people = await self.directory.people()
        for customer_id in must_exist:
            need_known(people, customer_id, await self.last_visit(customer_id))
        written = change(people)
        await self.customer_log.write([written])
        await asyncio.to_thread(record_change, self.settings, written, self.by)
        return written

    async def last_visit(self, who: CustomerId) -> Visit | None:
        """Return a person's most recent visit, unless it was withdrawn."""
        people = await self.directory.people()
        for each in dict.fromkeys((who, people.canonical(who))):
            found = await self.store.last_visit(each)
            if isinstance(found, Visit) and not found.withdrawn:
                return found
        return None

    async def note(self, action: Action, who: CustomerId | None, detail: str = "") -> None:
        """Enter an operation in the audit trail. Raises StorageFull or ConfigurationError."""
        await asyncio.to_thread(record_deed, self.settings, action, who, detail, self.by)


def need_a_name(name: str) -> None:
    """Raise CustomerConflict for an empty, overlong or unprintable name."""
    most = 100
    if not name.strip() or not name.isprintable() or len(name) > most:
        raise CustomerConflict(f"a name has 1 to {most} printable characters")


def need_known(people: CustomerDirectory, customer_id: CustomerId, visit: Visit | None) -> None:
    """Raise UnknownCustomer for an unknown id, or that of an erased person."""
    if people.is_erased(customer_id):
        raise UnknownCustomer(f"{customer_id} was erased: no data of that person is kept")
    is_in_book = (
        customer_id in people.customers
        or customer_id in people.merged
        or customer_id in people.merged.values()
        or any(customer_id in pair for pair in people.proposed)
    )
    if not is_in_book and visit is None:
        raise UnknownCustomer(
            f"{customer_id} is unknown: no such customer was enrolled or has visited; "
            "see `trinetra customers list`, or the customer_id of an event"
        )


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


def _renamed(
    people: CustomerDirectory, customer_id: CustomerId, update: CustomerUpdate
) -> CustomerChange:
    who = people.canonical(customer_id)
    before = people.customers.get(who)
    becomes = update.kind or (before.kind if before else IdentityKind.ENROLLED)
    given = {"name": update.name, "consent": update.consent, "purpose": update.purpose}
    changed = change_of(people, "renamed", who, kind=becomes, **given)
    after = described(who, changed, before)
    need_a_basis(after.kind, consent=after.consent, purpose=after.purpose)
    return changed
