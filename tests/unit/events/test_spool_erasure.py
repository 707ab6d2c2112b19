"""Values of the topic of spools' erasures: their encoding, and the tokens."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from trinetra.errors import MalformedEvent
from trinetra.events.erasure import Erasure
from trinetra.events.spool_erasure import (
    SpoolAnswer,
    SpoolRequest,
    encode_spool,
    members_with_spools,
    read_answer,
    read_request,
    token_of,
)
from trinetra.values import CustomerId

# As written by the first version that had them, with a field that a later one may add.
WRITTEN = {
    "request": b'{"tokens":["ers_1","ers_2"],"later":1}',
    "spool/inference-worker@a": b'{"cleared":{"ers_1":{"spooled_records":3}},"has_left":false}',
    "spool/inference-worker@b": b'{"cleared":{},"has_left":true,"later":[]}',
}
ERASURE = Erasure(
    number=1,
    asked_at=datetime(2026, 3, 1, tzinfo=UTC),
    ids=(CustomerId("cus_ann"),),
    digests=(CustomerId("erased_ann"),),
)


def test_values_of_the_first_version_are_read() -> None:
    a, b = members_with_spools(WRITTEN)
    assert read_request(WRITTEN) == SpoolRequest(tokens=frozenset({"ers_1", "ers_2"}))
    assert read_answer(WRITTEN, a) == SpoolAnswer(cleared={"ers_1": {"spooled_records": 3}})
    assert read_answer(WRITTEN, b) == SpoolAnswer(has_left=True)
    assert read_answer(WRITTEN, "inference-worker@c") is None
    assert (
        encode_spool(SpoolAnswer(cleared={"ers_1": {"spooled_records": 3}}))
        == WRITTEN[f"spool/{a}"]
    )


def test_no_request_is_an_empty_one_and_a_broken_one_is_none() -> None:
    assert read_request({}) == SpoolRequest()
    with pytest.raises(MalformedEvent, match="SpoolRequest"):
        read_request({"request": b"{"})


def test_the_token_of_an_erasure_tells_it_from_all_others_and_names_no_one() -> None:
    others = [
        replace(ERASURE, number=2),
        replace(ERASURE, asked_at=datetime(2026, 3, 2, tzinfo=UTC)),
        replace(ERASURE, digests=(CustomerId("erased_bob"),)),
    ]
    assert len({token_of(each) for each in (ERASURE, *others)}) == 4
    assert token_of(ERASURE) == token_of(replace(ERASURE, ids=()))
