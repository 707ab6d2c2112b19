"""Translates the rows of a table into receipts as ``POST /v1/transactions`` takes them."""

from collections.abc import Mapping
from typing import Any

from trinetra.imports.fields import FieldFault, FieldMapping

RECEIPT_FIELDS = frozenset(
    {
        "receipt_id",
        "till_id",
        "issued_at",
        "kind",
        "total",
        "total_minor",
        "currency",
        "item_count",
        "revision",
    }
)
"""Fields that a mapping may name; ``total`` is in the currency, ``total_minor`` in minor units."""


def receipt_document(
    values: Mapping[str, object], mapping: FieldMapping, *, negative_is_refund: bool = False
) -> dict[str, Any]:
    """Return the receipt of a row. Raises FieldFault."""
    currency = mapping.text("currency", values)
    if currency is None:
        raise FieldFault("currency: empty; name its column, or give it as a constant")
    issued_at = mapping.instant("issued_at", values)
    if issued_at is None:
        raise FieldFault("issued_at: empty")
    total = _total(values, mapping, currency)
    kind = mapping.text("kind", values) or "sale"
    if total < 0 and negative_is_refund and kind in {"sale", "refund"}:
        total, kind = -total, "refund"
    told = {
        "receipt_id": mapping.text("receipt_id", values),
        "till_id": mapping.text("till_id", values),
        "issued_at": issued_at.isoformat(),
        "kind": kind,
        "total_minor": total,
        "currency": currency,
        "item_count": mapping.whole("item_count", values),
        "revision": mapping.whole("revision", values),
    }
    return {name: value for name, value in told.items() if value is not None}


def _total(values: Mapping[str, object], mapping: FieldMapping, currency: str) -> int:
    total = mapping.minor("total", currency, values)
    if total is None:
        total = mapping.whole("total_minor", values)
    if total is None:
        raise FieldFault("total: empty")
    return total
