"""Customers as they were known when a recording began."""

from trinetra.events.customers import CustomerChange, CustomerDirectory
from trinetra.ports import CustomerLog
from trinetra.values import Instant

_BATCH = 2000


async def people_before(customer_log: CustomerLog, before: Instant | None) -> CustomerDirectory:
    """Return the customers of the log, without what resolvers found out from an instant on.

    What operators entered later counts all the same: it corrects what was known then. Without an
    instant nothing is left out. Raises StoreUnavailable.
    """
    people = CustomerDirectory()
    while changes := await customer_log.changes(people.number, _BATCH):
        people.apply(c for c in changes if _was_known(c.change, before))
        people.number = changes[-1].number
    return people


def _was_known(change: CustomerChange, before: Instant | None) -> bool:
    return before is None or change.by == "operator" or change.at < before
