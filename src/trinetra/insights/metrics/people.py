"""Who counts as a customer in a figure."""

from trinetra.events.schema import InsightEvent, LineCrossing, ZoneStay
from trinetra.insights.config import PERSON
from trinetra.values import IdentityKind


def is_staff(insight: InsightEvent) -> bool:
    """Return whether an insight is of a person who is known to be staff."""
    return getattr(insight, "kind", None) is IdentityKind.STAFF


def is_customer(insight: LineCrossing | ZoneStay) -> bool:
    """Return whether an insight is of a person who is not known to be staff."""
    return insight.label == PERSON and not is_staff(insight)
