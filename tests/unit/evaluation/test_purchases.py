"""Scores of attributed receipts, on cases whose answer is known."""

import pytest

from trinetra.evaluation.boxes import Boxes, BoxesBuilder
from trinetra.evaluation.purchases import (
    Claim,
    people_of_claims,
    score_conversion,
    score_purchases,
)

LEFT, RIGHT = (0.0, 0.0, 10.0, 30.0), (50.0, 0.0, 60.0, 30.0)


def boxes(*rows: tuple[int, str, tuple[float, float, float, float]]) -> Boxes:
    builder = BoxesBuilder()
    for at_us, name, box in rows:
        builder.add(at_us, name, box)
    return builder.build()


def claim(receipt_id: str, track: str, confidence: float = 0.9, until_us: int = 9) -> Claim:
    return Claim(receipt_id, "till", track, 0, until_us, confidence)


def test_a_claim_is_right_if_its_person_is_of_the_party_that_bought() -> None:
    buyers = {"r1": frozenset({"ann", "bob"}), "r2": frozenset({"eve"}), "r3": frozenset({"joe"})}
    claims = [claim("r1", "t1"), claim("r2", "t2")]
    sheet = score_purchases(buyers, claims, {"r1": "bob", "r2": "ann"})
    assert sheet.value("receipt_precision") == 0.5
    assert sheet.value("receipt_recall") == pytest.approx(1 / 3)
    assert sheet.value("calibration_error") == pytest.approx(40.0)
    assert sheet.value("receipt_precision", "confidence 0.9 to 0.97") == 0.5


def test_a_claim_whose_track_covers_no_person_is_wrong() -> None:
    sheet = score_purchases({"r1": frozenset({"ann"})}, [claim("r1", "t1")], {})
    assert sheet.value("receipt_precision") == 0.0


def test_without_claims_precision_is_unknown_and_recall_zero() -> None:
    sheet = score_purchases({"r1": frozenset({"ann"})}, [], {})
    assert sheet.value("receipt_precision") is None
    assert sheet.value("receipt_recall") == 0.0


def test_a_track_that_switched_people_counts_as_whom_it_covered_at_the_till() -> None:
    truth = boxes(*((t, "ann", LEFT) for t in range(20)), *((t, "bob", RIGHT) for t in range(20)))
    tracks = boxes(*((t, "t1", LEFT if t < 10 else RIGHT) for t in range(20)))
    sides = {"truth": {"till": truth}, "tracks": {"till": tracks}, "tolerance_us": 0}
    early = claim("r1", "t1", until_us=9)
    late = Claim("r2", "till", "t1", 10, 19, 0.9)
    assert people_of_claims([early, late], **sides) == {"r1": "ann", "r2": "bob"}
    assert people_of_claims([claim("r3", "unknown")], **sides) == {}


def test_conversion_is_compared_in_percentage_points() -> None:
    score = score_conversion(sales=30, true_sales=30, came_in=100, true_came_in=96)
    assert score.value == pytest.approx(30.0 - 31.25)
    assert score_conversion(sales=0, true_sales=0, came_in=0, true_came_in=0).value is None
