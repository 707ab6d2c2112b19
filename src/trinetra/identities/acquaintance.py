"""What the customer book says of the identities that the gallery finds."""

from collections.abc import Iterable
from dataclasses import replace

from trinetra.events.customers import People
from trinetra.values import GalleryMatch


def as_known(people: People, matches: Iterable[GalleryMatch]) -> list[GalleryMatch]:
    """Return the matches under the ids and kinds that hold now; who was erased is not among them.

    The gallery keeps a face under the id it was enrolled with: merges and their undoing, a change
    of kind or an erasure need no rewriting there to be in force at once.
    """
    known = []
    for match in matches:
        if people.is_erased(match.customer_id):
            continue
        customer_id = people.canonical(match.customer_id)
        kind = people.kind_of(customer_id) or match.kind
        if (customer_id, kind) != (match.customer_id, match.kind):
            match = replace(match, customer_id=customer_id, kind=kind)  # noqa: PLW2901
        known.append(match)
    return known
