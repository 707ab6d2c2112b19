"""Expiry of merges of anonymous people from the customer log.

A merge only links pseudonyms. It expires once it is older than anonymous faces are kept and no
insight names any id of these people: as long as one does, the merge still counts for it, and people
who keep coming keep their merges, because each visit is such an insight. All changes about a pair
expire together, since a merge without its later reversal would come back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, delete, select

from trinetra.adapters.sql.customer_log import delete_changes, lock_writes, parts_of, read_all
from trinetra.events.customers import CustomerDirectory, NumberedChange
from trinetra.values import CustomerId, Instant

_EXPIRING = {"merged", "split", "merge_proposed", "merge_dismissed"}


@dataclass(slots=True)
class _Pair:
    """The changes about two identities."""

    numbers: list[int] = field(default_factory=list)
    latest: Instant | None = None


def expire_merges(
    connection: Connection,
    before: Instant,
    most: int,
    naming: Iterable[Table],
    aliases: Table,
) -> int:
    """Delete up to ``most`` changes that expired by ``before``, and their aliases; return how many.

    ``naming`` are the tables of insights with a ``customer_id``.
    """
    lock_writes(connection)
    changes = read_all(connection)
    people = CustomerDirectory()
    people.apply(changes)
    ids_of_person = _ids_by_person(people)
    old = {
        pair: found
        for pair, found in _pairs(changes).items()
        if found.latest and found.latest < before and not _is_enrolled(pair, people)
    }
    ids = {pair: {i for one in pair for i in _person(one, people, ids_of_person)} for pair in old}
    named = _named(connection, {i for each in ids.values() for i in each}, naming)
    deleted: list[int] = []
    merged: set[CustomerId] = set()
    for pair, found in old.items():
        if len(deleted) < most and named.isdisjoint(ids[pair]):
            deleted += found.numbers
            merged |= {one for one in pair if people.merged.get(one) in pair}
    delete_changes(connection, deleted)
    for part in parts_of(merged):
        connection.execute(delete(aliases).where(aliases.c.customer_id.in_(part)))
    return len(deleted)


def _pairs(changes: Iterable[NumberedChange]) -> Mapping[frozenset[CustomerId], _Pair]:
    pairs: dict[frozenset[CustomerId], _Pair] = defaultdict(_Pair)
    for number, change in changes:
        if change.change in _EXPIRING and change.other:
            pair = pairs[frozenset((change.customer_id, change.other))]
            pair.numbers.append(number)
            pair.latest = max(pair.latest or change.at, change.at)
    return pairs


def _ids_by_person(people: CustomerDirectory) -> Mapping[CustomerId, set[CustomerId]]:
    found: dict[CustomerId, set[CustomerId]] = defaultdict(set)
    for customer_id in people.merged:
        found[people.canonical(customer_id)].add(customer_id)
    return found


def _person(
    customer_id: CustomerId,
    people: CustomerDirectory,
    ids_of_person: Mapping[CustomerId, set[CustomerId]],
) -> set[CustomerId]:
    """Return all ids of the person that an id belongs to."""
    head = people.canonical(customer_id)
    return {customer_id, head, *ids_of_person.get(head, ())}


def _is_enrolled(pair: Iterable[CustomerId], people: CustomerDirectory) -> bool:
    return any(
        customer_id in people.customers or people.kind_of(customer_id) for customer_id in pair
    )


def _named(
    connection: Connection, ids: Iterable[CustomerId], naming: Iterable[Table]
) -> set[CustomerId]:
    """Return those of the ids that an insight carries."""
    found: set[CustomerId] = set()
    for table in naming:
        for part in parts_of(ids):
            query = select(table.c.customer_id).where(table.c.customer_id.in_(part)).distinct()
            found.update(connection.scalars(query))
    return found
