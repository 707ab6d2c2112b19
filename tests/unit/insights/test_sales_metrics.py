"""Figures of sales and purchases, from the cells that receipts and purchases add."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

import msgspec
import pytest
from tests.unit.events.samples import NOON, one_of_each, receipt

from trinetra.events.schema import InsightEvent, Passage, Purchase, Receipt, UnpaidStay
from trinetra.insights.metrics.catalog import BY_NAME, cells_of
from trinetra.insights.metrics.definition import Sums
from trinetra.insights.metrics.sales import currency_of, net_sales
from trinetra.values import CameraId, EventId, IdentityKind, SiteId


def sums_of(insights: Iterable[InsightEvent]) -> Sums:
    sums: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for insight in insights:
        for cell in cells_of(insight):
            sums[cell.series][cell.bin] += cell.value
    return sums


def value(name: str, *insights: InsightEvent) -> float | None:
    return BY_NAME[name].value(sums_of(insights), 3600.0)


def sample(kind: type) -> InsightEvent:
    return next(event for event in one_of_each() if isinstance(event, kind))


def passages(number: int, **changes: object) -> list[InsightEvent]:
    passage = Passage(
        event_id=EventId("p"),
        site_id=SiteId("shop"),
        camera_id=CameraId("door"),
        captured_at=NOON,
        door_id="main",
        door_kind="entrance",
        direction="in",
        label="person",
        crossings=(),
    )
    return [msgspec.structs.replace(passage, **changes) for _ in range(number)]


SALES = (
    receipt(1, total_minor=1000, item_count=2),
    receipt(2, total_minor=3000, item_count=4),
    receipt(3, total_minor=500, item_count=msgspec.UNSET),
)
REFUND = receipt(4, kind="refund", total_minor=700)
NO_SALES = (
    receipt(5, kind="void", total_minor=9900),
    receipt(6, kind="training", total_minor=9900),
)


def test_only_sales_are_transactions_and_refunds_reduce_net_sales() -> None:
    receipts = (*SALES, REFUND, *NO_SALES)
    assert value("transactions", *receipts) == 3
    assert (value("refunds", *receipts), value("voids", *receipts)) == (1, 1)
    assert value("net_sales", *receipts) == pytest.approx(38.0)
    assert value("average_transaction_value", *receipts) == pytest.approx(15.0)
    assert value("items_per_basket", *receipts) == 3.0


def test_conversion_is_sales_per_person_who_came_in() -> None:
    out, staff = passages(5, direction="out"), passages(3, kind=IdentityKind.STAFF)
    cars = passages(4, label="car")
    everything = (*SALES, *passages(10), *out, *staff, *cars, REFUND, *NO_SALES)
    assert value("conversion", *everything) == pytest.approx(0.3)
    assert value("sales_per_visitor", *everything) == pytest.approx(3.8)


def test_what_is_not_known_has_no_value() -> None:
    for name in ("net_sales", "average_transaction_value", "items_per_basket"):
        assert value(name) is None
    assert value("conversion", *SALES) is None
    assert value("sales_per_visitor", *SALES) is None
    assert value("time_to_purchase_median") is None
    assert value("attributed_share") is None


def test_amounts_of_several_currencies_are_never_added_up() -> None:
    francs = receipt(7, currency="CHF", total_minor=2000)
    yen = receipt(8, currency="JPY", total_minor=2000)
    both = (*SALES, francs)
    assert value("net_sales", *both) is None
    assert value("average_transaction_value", *both) is None
    assert value("transactions", *both) == 4
    assert net_sales(sums_of((*both, yen))) == {"EUR": 4500, "CHF": 2000, "JPY": 2000}
    assert value("net_sales", yen) == 2000.0
    assert currency_of(sums_of(both)) is None
    assert currency_of(sums_of([yen])) == "JPY"


def test_purchases_tell_time_zones_and_the_share_with_a_person() -> None:
    known = sample(Purchase)
    assert isinstance(known, Purchase)
    unknown = msgspec.structs.replace(
        known, track_id=None, entered_at=msgspec.UNSET, zones_before=msgspec.UNSET
    )
    events = (known, known, known, unknown, sample(UnpaidStay))
    assert value("attributed_share", *events) == 0.75
    assert value("unattributed_sales", *events) == 1
    assert value("unpaid_stays", *events) == 1
    assert value("purchases_after_zone", *events) == 3
    assert value("time_to_purchase_median", *events) == pytest.approx(578, rel=0.02)
    assert known.paid_at - NOON == timedelta(seconds=38)


def test_every_series_that_is_summed_belongs_to_a_metric() -> None:
    declared = {series for metric in BY_NAME.values() for series in metric.series}
    assert sums_of([*SALES, REFUND, *NO_SALES, *one_of_each()]).keys() <= declared


def test_a_receipt_counts_at_the_till_and_at_its_own_time() -> None:
    told = SALES[0]
    assert isinstance(told, Receipt)
    assert {(cell.place, cell.at) for cell in cells_of(told)} == {("till-2", told.issued_at)}
