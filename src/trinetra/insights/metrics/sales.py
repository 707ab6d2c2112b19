"""Sales: receipts, net sales by currency, baskets, and what visitors spend."""

from collections.abc import Callable, Iterable, Mapping

from trinetra.events.currencies import DECIMALS
from trinetra.events.rollups import Cell
from trinetra.events.schema import InsightEvent, Receipt
from trinetra.insights.metrics.definition import Metric, Sums, Value, ratio_of, total, total_of
from trinetra.insights.metrics.footfall import GROUPS_IN, IN

TRANSACTIONS, REFUNDS, VOIDS = "receipts.sales", "receipts.refunds", "receipts.voids"
COUNTED, PIECES = "receipts.with_items", "receipts.items"
NET_SALES: Mapping[str, str] = {code: f"sales.net.{code.lower()}" for code in DECIMALS}
"""Series of net sales in minor units, by currency: amounts of two currencies never add up."""
_CURRENCIES: Mapping[str, str] = {series: code for code, series in NET_SALES.items()}
GROSS_SALES: Mapping[str, str] = {code: f"sales.gross.{code.lower()}" for code in DECIMALS}
BILLS: Mapping[str, str] = {code: f"receipts.sales.{code.lower()}" for code in DECIMALS}


def cells(insight: InsightEvent) -> Iterable[Cell]:
    """Yield what a receipt adds, at the till's own time; training receipts add nothing."""
    if not isinstance(insight, Receipt):
        return
    place, at = insight.till_id, insight.issued_at
    if insight.kind == "sale":
        yield Cell(TRANSACTIONS, place, at, 1)
        yield Cell(BILLS[insight.currency], place, at, 1)
        yield Cell(GROSS_SALES[insight.currency], place, at, insight.total_minor)
        yield Cell(NET_SALES[insight.currency], place, at, insight.total_minor)
        if isinstance(insight.item_count, int):
            yield Cell(COUNTED, place, at, 1)
            yield Cell(PIECES, place, at, insight.item_count)
    elif insight.kind == "refund":
        yield Cell(REFUNDS, place, at, 1)
        yield Cell(NET_SALES[insight.currency], place, at, -insight.total_minor)
    elif insight.kind == "void":
        yield Cell(VOIDS, place, at, 1)


def net_sales(sums: Sums) -> dict[str, int]:
    """Return net sales in minor units, by currency, of those that were taken."""
    return {code: total(sums, series) for code, series in NET_SALES.items() if series in sums}


def currency_of(sums: Sums) -> str | None:
    """Return the currency that was taken; None for none or several."""
    taken = [_CURRENCIES[series] for series in sums if series in _CURRENCIES]
    return taken[0] if len(taken) == 1 else None


def only_currency(
    of_currency: Callable[[Sums, str], float | None],
) -> Value:
    """Return the value function of an amount; None if several currencies were taken.

    Reports of shops with several currencies ask for each by itself.
    """

    def value(sums: Sums, _open_s: float) -> float | None:
        currency = currency_of(sums)
        return None if currency is None else of_currency(sums, currency)

    return value


def _major(minor: float, code: str) -> float:
    return float(minor / 10 ** DECIMALS[code])


def _net(sums: Sums, code: str) -> float | None:
    return _major(total(sums, NET_SALES[code]), code)


def _mean_bill(sums: Sums, code: str) -> float | None:
    bills = total(sums, BILLS[code])
    return _major(total(sums, GROSS_SALES[code]) / bills, code) if bills else None


def _per_visitor(sums: Sums, code: str) -> float | None:
    came_in = total(sums, IN)
    return _major(total(sums, NET_SALES[code]) / came_in, code) if came_in else None


_RECEIPTS = (TRANSACTIONS, REFUNDS, VOIDS)
"""Without any of them no till is connected."""
_KINDS = "Refunds, voids and training receipts are no sales."

SALES_RECEIPTS = Metric(
    name="transactions",
    version=1,
    title="Transactions",
    unit="count",
    counts="Receipts of kind sale, by the clock of the till; a corrected receipt counts once.",
    leaves_out=_KINDS,
    series=(TRANSACTIONS,),
    inputs=("receipt",),
    cells=cells,
    scope="receipts",
    needs=_RECEIPTS,
    value=total_of(TRANSACTIONS),
)
REFUND_RECEIPTS, VOID_RECEIPTS = (
    Metric(
        name=name,
        version=1,
        title=title,
        unit="count",
        counts=f"Receipts of kind {kind}, by the clock of the till.",
        leaves_out="Sales, and training receipts.",
        series=(series,),
        inputs=("receipt",),
        cells=cells,
        scope="receipts",
        needs=_RECEIPTS,
        value=total_of(series),
    )
    for name, title, kind, series in (
        ("refunds", "Refunds", "refund", REFUNDS),
        ("voids", "Voids", "void", VOIDS),
    )
)
NET_SALES_METRIC = Metric(
    name="net_sales",
    version=1,
    title="Net sales",
    unit="money",
    counts=(
        "Totals of sales less the totals of refunds, in the currency of the receipts; unknown if "
        "receipts have several currencies, each of which has its own figure."
    ),
    leaves_out="Voids and training receipts.",
    series=tuple(NET_SALES.values()),
    inputs=("receipt",),
    cells=cells,
    scope="receipts",
    needs=_RECEIPTS,
    value=only_currency(_net),
)
AVERAGE_TRANSACTION_VALUE = Metric(
    name="average_transaction_value",
    version=1,
    title="Average transaction value",
    unit="money",
    counts="The mean total of sales.",
    leaves_out=_KINDS,
    series=(*NET_SALES.values(), *GROSS_SALES.values(), *BILLS.values()),
    inputs=("receipt",),
    cells=cells,
    scope="receipts",
    needs=_RECEIPTS,
    value=only_currency(_mean_bill),
    is_total=False,
)
ITEMS_PER_BASKET = Metric(
    name="items_per_basket",
    version=1,
    title="Items per basket",
    unit="count",
    counts="Pieces sold per sale, of the receipts that say how many.",
    leaves_out=f"{_KINDS} Receipts without a number of pieces.",
    series=(COUNTED, PIECES),
    inputs=("receipt",),
    cells=cells,
    scope="receipts",
    needs=_RECEIPTS,
    value=ratio_of(PIECES, COUNTED),
    is_total=False,
)
CONVERSION = Metric(
    name="conversion",
    version=1,
    title="Conversion",
    unit="share",
    counts="Sales per person who came in through a door.",
    leaves_out=(
        f"{_KINDS} Staff, and lines that no person crosses. People who shop together share one "
        "receipt, so the share of those who came to buy is higher."
    ),
    series=(TRANSACTIONS, IN),
    inputs=("receipt", "passage"),
    cells=cells,
    value=ratio_of(TRANSACTIONS, IN),
    scope="lines",
    needs=_RECEIPTS,
    is_total=False,
)
SALES_PER_VISITOR = Metric(
    name="sales_per_visitor",
    version=1,
    title="Sales per visitor",
    unit="money",
    counts="Net sales per person who came in through a door.",
    leaves_out=_KINDS,
    series=(*NET_SALES.values(), IN),
    inputs=("receipt", "passage"),
    cells=cells,
    value=only_currency(_per_visitor),
    scope="lines",
    needs=_RECEIPTS,
    is_total=False,
)
GROUP_CONVERSION = Metric(
    name="group_conversion",
    version=1,
    title="Conversion of groups",
    unit="share",
    counts="Sales per group that came in through a door; a person alone is a group of one.",
    leaves_out=f"{_KINDS} Staff.",
    series=(TRANSACTIONS, GROUPS_IN),
    inputs=("receipt", "group"),
    cells=cells,
    value=ratio_of(TRANSACTIONS, GROUPS_IN),
    scope="lines",
    needs=_RECEIPTS,
    is_total=False,
    trade="Group or party conversion. Vendors that count groups call this conversion.",
)
SALES_METRICS = (
    SALES_RECEIPTS,
    REFUND_RECEIPTS,
    VOID_RECEIPTS,
    NET_SALES_METRIC,
    AVERAGE_TRANSACTION_VALUE,
    ITEMS_PER_BASKET,
    CONVERSION,
    GROUP_CONVERSION,
    SALES_PER_VISITOR,
)
