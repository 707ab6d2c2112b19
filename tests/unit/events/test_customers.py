"""The fold of the customer log, and its reading by older versions."""

import msgspec
import pytest

from trinetra.errors import CustomerConflict, MalformedState
from trinetra.events import customers
from trinetra.events.customers import (
    CustomerChange,
    CustomerDirectory,
    NumberedChange,
    decode_change,
    encode_change,
)
from trinetra.events.erasure import erased_change
from trinetra.values import EPOCH, CustomerId, IdentityKind

ANN, BOB = CustomerId("cus_ann"), CustomerId("cus_bob")
ENROLLED = CustomerChange(
    change_id="1", change="enrolled", customer_id=ANN, at=EPOCH, kind=IdentityKind.VIP
)


def written(**fields: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(ENROLLED) | fields)


@pytest.mark.parametrize("fields", [{"change": "adopted"}, {"kind": "regular"}], ids=str)
def test_what_a_later_version_says_changes_nothing_here(fields: dict[str, str]) -> None:
    people = CustomerDirectory()
    people.apply([NumberedChange(1, ENROLLED)])
    later = decode_change(written(**fields))

    people.apply([NumberedChange(2, later)])

    assert (later.change, people.number) == ("unknown", 2)
    assert people.kind_of(ANN) is IdentityKind.VIP
    with pytest.raises(CustomerConflict, match="does not know"):
        people.check(later)


def test_a_known_change_that_is_not_valid_is_refused() -> None:
    with pytest.raises(MalformedState):
        decode_change(written(score="much"))
    assert decode_change(encode_change(ENROLLED)) == ENROLLED


def test_many_erasures_look_through_everybody_once(monkeypatch: pytest.MonkeyPatch) -> None:
    people = CustomerDirectory()
    people.apply([NumberedChange(1, ENROLLED)])
    asked = []

    def digest(customer_id: CustomerId) -> CustomerId:
        asked.append(customer_id)
        return erasure_digest(customer_id)

    erasure_digest = customers.erasure_digest
    erased = [erased_change(CustomerId(f"gone{n}"), EPOCH) for n in range(99)]
    erased.append(erased_change(ANN, EPOCH))
    monkeypatch.setattr(customers, "erasure_digest", digest)
    people.apply(NumberedChange(n, change) for n, change in enumerate(erased, 2))

    assert (people.customers, asked) == ({}, [ANN])


def test_somebody_is_known_by_the_id_and_kind_that_hold_now() -> None:
    people = CustomerDirectory()
    merge = CustomerChange(change_id="2", change="merged", customer_id=BOB, other=ANN, at=EPOCH)
    assert people.as_known(BOB, IdentityKind.ANONYMOUS) == (BOB, IdentityKind.ANONYMOUS)
    people.apply([NumberedChange(1, ENROLLED), NumberedChange(2, merge)])
    assert people.as_known(BOB, IdentityKind.ANONYMOUS) == (ANN, IdentityKind.VIP)
