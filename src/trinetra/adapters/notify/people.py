"""Names of enrolled people from the customer log, for channels that may tell them."""

import asyncio

from trinetra.events.customers import CustomerDirectory
from trinetra.ports import CustomerLog, NameBook
from trinetra.values import CustomerId

_AT_ONCE = 1000


class CustomerLogNames:
    """A NameBook that reads the changes since it was asked last."""

    def __init__(self, customer_log: CustomerLog) -> None:
        self._log = customer_log
        self._people = CustomerDirectory()
        self._reading = asyncio.Lock()

    async def name_of(self, customer_id: CustomerId) -> str | None:
        """Return a person's name, if there is one. Raises StoreUnavailable."""
        async with self._reading:  # channels ask at the same time
            while changes := await self._log.changes(self._people.number, _AT_ONCE):
                self._people.apply(changes)
        known = self._people.customers.get(self._people.canonical(customer_id))
        return known.name if known else None


class Naming:
    """The people that a channel may name: all of the book, none without one."""

    def __init__(self, names: NameBook | None = None) -> None:
        self._names = names

    @property
    def tells_people(self) -> bool:
        """Whether people may be named."""
        return self._names is not None

    async def name_of(self, person: CustomerId | None) -> str | None:
        """Return the name to tell; None if there is none, or none may be told."""
        if self._names is None or person is None:
            return None
        return await self._names.name_of(person)
