"""Reads and checks the receipts that points of sale send.

The same JSON object is accepted on the topic, by ``POST /v1/transactions`` and in JSON lines: the
fields of ``Receipt``, of which those that follow from others may be left out. Unknown fields are
refused, not ignored: a card number or a name must not get anywhere near the log.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import msgspec

from trinetra.errors import MalformedEvent
from trinetra.events.currencies import DECIMALS
from trinetra.events.schema import Receipt
from trinetra.values import CameraId, EventId, Instant, SiteId, derive_id

MOST_ITEMS = 200
MOST_TOTAL_MINOR = 10**12
"""Larger totals are mistakes of the unit; sums of a day stay far below 2**63."""
_MOST_PIECES = 100_000
_EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}")
_CARD = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){12,18}(?!\d)")
_PERSONAL = re.compile(
    r"card|pan$|iban|cvv|cvc|holder|name|customer|client|buyer|mail|phone|address|birth|loyalty",
    re.IGNORECASE,
)
_DERIVED: Mapping[str, Any] = {"type": "receipt", "version": 1, "kind": "sale"}
_FIELDS = frozenset(Receipt.__struct_fields__) | {"type"}
_REQUIRED = ("receipt_id", "till_id", "issued_at", "total_minor", "currency")


class ReceiptRejected(MalformedEvent):
    """A receipt cannot be accepted; ``field`` names the field at fault, empty for the whole."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class ReceiptRules:
    """What a shop accepts.

    ``tills`` are the known ones, empty if the site file names none: then every till is accepted.
    ``currencies`` are those that the shop takes, empty for all of ISO 4217. A receipt may be dated
    up to ``most_ahead_s`` ahead of now, because tills' clocks are wrong.
    """

    site_id: SiteId
    tills: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    most_ahead_s: float = 7200.0


def receipt_event_id(site_id: SiteId, receipt_id: str) -> EventId:
    """Return the event id of a receipt, the same whenever and however it is sent."""
    return EventId(derive_id("rcp", site_id, receipt_id))


def read_receipt(document: object, rules: ReceiptRules, now: Instant | None) -> Receipt:
    """Return the receipt that a JSON object describes.

    ``now`` is the time that receipts must not be far ahead of; None skips that check. Raises
    ReceiptRejected with the field and the reason.
    """
    if not isinstance(document, dict):
        raise ReceiptRejected("a receipt is a JSON object")
    _refuse_unknown(document)
    _refuse_cards(document)
    if missing := [name for name in _REQUIRED if document.get(name) is None]:
        raise ReceiptRejected(f"{missing[0]} is missing", missing[0])
    receipt = _converted(document, rules.site_id)
    _check(receipt, rules)
    _check_time(receipt, rules, now)
    issued_at = receipt.issued_at.astimezone(UTC)
    return msgspec.structs.replace(receipt, issued_at=issued_at, captured_at=issued_at)


def decode_receipt(payload: bytes, rules: ReceiptRules, now: Instant | None) -> Receipt:
    """Return the receipt in a record of the topic. Raises ReceiptRejected."""
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as cause:
        raise ReceiptRejected(f"not valid JSON: {cause}") from cause
    return read_receipt(document, rules, now)


def mask_cards(text: str) -> str:
    """Return the text with everything that may be a card number replaced by asterisks."""
    return _CARD.sub(lambda found: "*" * 12 if _is_card(found.group()) else found.group(), text)


def same_content(one: Receipt, other: Receipt) -> bool:
    """Return whether two receipts of one id say the same, apart from their revision."""
    plain = msgspec.structs.replace(one, revision=msgspec.UNSET)
    return plain == msgspec.structs.replace(other, revision=msgspec.UNSET)


def _refuse_unknown(document: Mapping[Any, Any]) -> None:
    for name in map(str, document):
        if name in _FIELDS:
            continue
        if _PERSONAL.search(name):
            raise ReceiptRejected(
                f"{mask_cards(name)}: data about a person or a card must not be sent; leave it out",
                mask_cards(name),
            )
        close = get_close_matches(name, _FIELDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(_FIELDS))}"
        raise ReceiptRejected(f"{mask_cards(name)}: unknown field ({hint})", mask_cards(name))


def _refuse_cards(document: Mapping[str, Any]) -> None:
    for name, value in document.items():
        # A till may number its receipts with sixteen digits, of which one in ten passes the check.
        if name in {"receipt_id", "event_id"} and str(value).isdigit():
            continue
        if any(_is_card(found) for found in _CARD.findall(_text_of(value))):
            raise ReceiptRejected(
                f"{name}: contains what looks like a card number; leave it out", name
            )


def _text_of(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return str(value)


def _is_card(text: str) -> bool:
    """Return whether digits pass the check of card numbers (ISO/IEC 7812-1, Luhn)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [2 * d - 9 * (d > 4) for d in digits[-2::-2]]  # noqa: PLR2004 - two digits, added
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _converted(document: Mapping[str, Any], site_id: SiteId) -> Receipt:
    if str(document.get("site_id", site_id)) != site_id:
        raise ReceiptRejected(
            f"site_id: the receipt is of site {document['site_id']}, this is {site_id}", "site_id"
        )
    total = document["total_minor"]
    if isinstance(total, float | str):
        raise ReceiptRejected(
            "total_minor: write whole minor units, like 1250 for 12.50 EUR", "total_minor"
        )
    whole = {
        **_DERIVED,
        **document,
        "site_id": site_id,
        "camera_id": CameraId(""),
        "event_id": receipt_event_id(site_id, str(document["receipt_id"])),
        "captured_at": document["issued_at"],
    }
    try:
        return msgspec.convert(whole, Receipt)
    except msgspec.ValidationError as cause:
        field = str(cause).rpartition("`$.")[2].strip("`") if "`$." in str(cause) else ""
        raise ReceiptRejected(f"{field or 'receipt'}: {cause}", field) from cause


def _check(receipt: Receipt, rules: ReceiptRules) -> None:
    for name, value in (("receipt_id", receipt.receipt_id), ("till_id", receipt.till_id)):
        if not _ID.fullmatch(value):
            raise ReceiptRejected(
                f"{name}: 1 to 64 letters, digits and . _ : / # - are allowed", name
            )
    if rules.tills and receipt.till_id not in rules.tills:
        known = ", ".join(sorted(rules.tills))
        raise ReceiptRejected(
            f"till_id: no zone of the site file has till {receipt.till_id}; known are {known}",
            "till_id",
        )
    _check_money(receipt, rules)
    _check_items(receipt)


def _check_money(receipt: Receipt, rules: ReceiptRules) -> None:
    currency = receipt.currency
    if currency not in DECIMALS:
        raise ReceiptRejected(
            "currency: not a code of ISO 4217; write three capitals, like EUR", "currency"
        )
    if rules.currencies and currency not in rules.currencies:
        taken = ", ".join(sorted(rules.currencies))
        raise ReceiptRejected(
            f"currency: the shop does not take {currency}; policies.transactions.currencies of the "
            f"site file has {taken}",
            "currency",
        )
    if receipt.total_minor < 0:
        raise ReceiptRejected(
            "total_minor: negative; send a refund as kind refund with a positive total",
            "total_minor",
        )
    if receipt.total_minor > MOST_TOTAL_MINOR:
        raise ReceiptRejected(
            f"total_minor: more than {MOST_TOTAL_MINOR}; is it in minor units?", "total_minor"
        )


def _check_items(receipt: Receipt) -> None:
    if receipt.item_count is not msgspec.UNSET and not 0 <= receipt.item_count <= _MOST_PIECES:
        raise ReceiptRejected(f"item_count: must be 0 to {_MOST_PIECES}", "item_count")
    if receipt.revision is not msgspec.UNSET and not 0 <= receipt.revision <= _MOST_PIECES:
        raise ReceiptRejected(f"revision: must be 0 to {_MOST_PIECES}", "revision")
    items = receipt.items or ()
    if len(items) > MOST_ITEMS:
        raise ReceiptRejected(
            f"items: {len(items)} lines, at most {MOST_ITEMS} are kept; send item_count", "items"
        )
    for item in items:
        is_small = max(abs(item.amount_minor), abs(item.quantity)) <= MOST_TOTAL_MINOR
        if not _ID.fullmatch(item.sku) or not is_small:
            raise ReceiptRejected("items: a line has an unusable sku, amount or quantity", "items")


def _check_time(receipt: Receipt, rules: ReceiptRules, now: Instant | None) -> None:
    if receipt.issued_at.tzinfo is None:
        raise ReceiptRejected(
            "issued_at: has no offset from UTC; end it with Z or +02:00", "issued_at"
        )
    if receipt.issued_at < _EARLIEST:
        raise ReceiptRejected(
            f"issued_at: before {_EARLIEST.year}; the till has lost its clock", "issued_at"
        )
    if now is not None and receipt.issued_at > now + timedelta(seconds=rules.most_ahead_s):
        raise ReceiptRejected(
            f"issued_at: {receipt.issued_at.isoformat()} is more than {rules.most_ahead_s:g} s in "
            "the future; set the till's clock",
            "issued_at",
        )
