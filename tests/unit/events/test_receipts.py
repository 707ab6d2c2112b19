"""Receipts as points of sale send them: what is accepted, and why the rest is not."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from trinetra.events.currencies import DECIMALS, money
from trinetra.events.receipts import (
    MOST_ITEMS,
    ReceiptRejected,
    ReceiptRules,
    decode_receipt,
    mask_cards,
    read_receipt,
    receipt_event_id,
    same_content,
)
from trinetra.events.schema import Receipt
from trinetra.values import SiteId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = ReceiptRules(SiteId("shop"), frozenset({"till-1", "till-2"}), frozenset({"EUR", "CHF"}))
ANY = ReceiptRules(SiteId("shop"))
CARD = "4111 1111 1111 1111"


def document(**changes: object) -> dict[str, object]:
    whole = {
        "receipt_id": "T1-17",
        "till_id": "till-1",
        "issued_at": "2026-11-22T13:00:00+01:00",
        "total_minor": 1250,
        "currency": "EUR",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def refused(rules: ReceiptRules = RULES, **changes: object) -> ReceiptRejected:
    with pytest.raises(ReceiptRejected) as refusal:
        read_receipt(document(**changes), rules, NOON)
    return refusal.value


def test_what_follows_from_other_fields_may_be_left_out() -> None:
    receipt = read_receipt(document(), RULES, NOON)
    assert receipt.event_id == receipt_event_id(SiteId("shop"), "T1-17")
    assert (receipt.kind, receipt.camera_id) == ("sale", "")
    assert receipt.captured_at == receipt.issued_at == NOON
    assert receipt.issued_at.tzinfo is UTC


def test_a_receipt_event_is_accepted_as_well_and_keeps_no_id_of_the_sender() -> None:
    written = msgspec.json.encode(read_receipt(document(item_count=3), RULES, NOON))
    assert decode_receipt(written, RULES, NOON).item_count == 3
    foreign = msgspec.json.decode(written) | {"event_id": "mine", "camera_id": "door"}
    assert read_receipt(foreign, RULES, NOON) == decode_receipt(written, RULES, NOON)


@pytest.mark.parametrize("kind", ["sale", "refund", "void", "training"])
def test_every_kind_of_receipt_is_accepted(kind: str) -> None:
    assert read_receipt(document(kind=kind), RULES, NOON).kind == kind


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"total_minor": -1250}, "total_minor", "negative; send a refund"),
        ({"total_minor": "12,50"}, "total_minor", "minor units"),
        ({"total_minor": 12.5}, "total_minor", "minor units"),
        ({"total_minor": True}, "total_minor", "int"),
        ({"total_minor": 10**13}, "total_minor", "minor units"),
        ({"total_minor": ...}, "total_minor", "missing"),
        ({"currency": "EURO"}, "currency", "ISO 4217"),
        ({"currency": "eur"}, "currency", "ISO 4217"),
        ({"currency": "USD"}, "currency", "does not take USD"),
        ({"till_id": "till-9"}, "till_id", "till-1, till-2"),
        ({"till_id": ""}, "till_id", "letters"),
        ({"receipt_id": "a b"}, "receipt_id", "letters"),
        ({"receipt_id": "x" * 65}, "receipt_id", "letters"),
        ({"receipt_id": None}, "receipt_id", "missing"),
        ({"receipt_id": 17}, "receipt_id", "str"),
        ({"issued_at": "2026-11-22T12:00:00"}, "issued_at", "offset from UTC"),
        ({"issued_at": "22.11.2026 12:00"}, "issued_at", "RFC3339"),
        ({"issued_at": "2026-11-22T14:00:01Z"}, "issued_at", "in the future"),
        ({"issued_at": "1970-01-01T00:00:00Z"}, "issued_at", "lost its clock"),
        ({"issued_at": "0001-01-01T00:00:00+14:00"}, "issued_at", "lost its clock"),
        ({"kind": "gift"}, "kind", "gift"),
        ({"item_count": -1}, "item_count", "0 to"),
        ({"revision": -1}, "revision", "0 to"),
        ({"items": [{"sku": "a", "amount_minor": 1}] * (MOST_ITEMS + 1)}, "items", "at most 200"),
        ({"items": [{"sku": "", "amount_minor": 1}]}, "items", "unusable"),
        ({"items": [{"sku": "a", "amount_minor": 1, "card": "x"}]}, "items", "card"),
        ({"site_id": "other"}, "site_id", "other"),
        ({"totl_minor": 1}, "totl_minor", "did you mean total_minor"),
    ],
)
def test_a_receipt_that_cannot_be_right_is_refused_with_field_and_reason(
    changes: dict[str, object], field: str, reason: str
) -> None:
    refusal = refused(**changes)
    assert refusal.field.partition("[")[0] == field
    assert reason in str(refusal)


def test_without_tills_in_the_site_file_every_till_is_accepted() -> None:
    assert read_receipt(document(till_id="till-9", currency="USD"), ANY, NOON).till_id == "till-9"


def test_a_clock_that_is_a_little_ahead_is_accepted() -> None:
    ahead = (NOON + timedelta(seconds=RULES.most_ahead_s)).isoformat()
    assert read_receipt(document(issued_at=ahead), RULES, NOON).receipt_id == "T1-17"


@pytest.mark.parametrize(
    "changes",
    [
        {"card_number": CARD},
        {"pan": "x"},
        {"customer_name": "Ann"},
        {"email": "ann@example.org"},
        {"CardHolder": "Ann"},
    ],
)
def test_fields_about_a_person_or_a_card_are_refused_and_not_repeated(
    changes: dict[str, str],
) -> None:
    refusal = refused(ANY, **changes)
    assert "must not be sent" in str(refusal)
    assert not any(value in str(refusal) for value in changes.values() if len(value) > 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_id": "4111-1111-1111-1111"},
        {"till_id": "4111111111111111"},
        {"items": [{"sku": "4111111111111111", "amount_minor": 1}]},
        {CARD: "x"},
    ],
)
def test_values_that_look_like_a_card_number_are_refused_and_not_repeated(
    changes: dict[str, object],
) -> None:
    assert "4111" not in str(refused(ANY, **changes))


def test_long_numbers_of_receipts_and_goods_are_not_taken_for_cards() -> None:
    item = {"sku": "4006381333931", "amount_minor": 1}
    receipt = read_receipt(document(receipt_id="4111111111111111", items=[item]), ANY, NOON)
    assert receipt.receipt_id == "4111111111111111"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff\xfe", b'"x"', b"[" * 5000])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(ReceiptRejected):
        decode_receipt(payload, RULES, NOON)


def test_card_numbers_are_masked_and_other_numbers_are_not() -> None:
    assert mask_cards(f"paid with {CARD}, receipt 123456789012345") == (
        "paid with ************, receipt 123456789012345"
    )


def test_a_revision_alone_does_not_change_the_content() -> None:
    receipt = read_receipt(document(), RULES, NOON)
    assert same_content(receipt, read_receipt(document(revision=2), RULES, NOON))
    assert not same_content(receipt, read_receipt(document(total_minor=1), RULES, NOON))


def test_money_is_shown_in_the_decimals_of_its_currency() -> None:
    assert [money(1250, code) for code in ("EUR", "JPY", "KWD")] == [
        "12.50 EUR",
        "1250 JPY",
        "1.250 KWD",
    ]
    assert money(-5, "EUR") == "-0.05 EUR"
    assert all(len(code) == 3 and code.isupper() for code in DECIMALS)


def test_an_event_is_a_receipt_of_the_union() -> None:
    assert isinstance(read_receipt(document(), RULES, NOON), Receipt)
