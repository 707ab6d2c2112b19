"""Who counts as a customer in a figure."""

from trinetra.events.schema import LineCrossing, ZoneStay
from trinetra.insights.config import PERSON
from trinetra.values import IdentityKind


def is_customer(insight: LineCrossing | ZoneStay) -> bool:
    """Return whether an insight is of a person who is not known to be staff."""
    return insight.label == PERSON and insight.kind is not IdentityKind.STAFF
