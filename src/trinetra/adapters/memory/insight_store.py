"""An insight store in memory: for replays, tests and measurements."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import get_args

from trinetra.events.customers import CustomerDirectory
from trinetra.events.schema import InsightEvent, Receipt, Visit
from trinetra.events.subjects import customer_of
from trinetra.events.visits import is_older, unite
from trinetra.values import CustomerId, EventId, Instant


class MemoryInsightStore:
    """An ExpiringStore that ends with its process.

    Calls complete without waiting, so that a replay writes its events in the same order each time.
    """

    name = "insight store"

    def __init__(self) -> None:
        self._insights: dict[str, dict[EventId, InsightEvent]] = {
            _kind(type_): {} for type_ in get_args(InsightEvent)
        }
        self._last_visits: dict[CustomerId, Visit] = {}
        self._people = CustomerDirectory()

    async def record(self, insights: Sequence[InsightEvent]) -> None:
        """Insert or replace by ``event_id``, all or none; an older state is ignored.

        Raises ValueError for an instant without an offset from UTC.
        """
        for insight in insights:
            if insight.captured_at.tzinfo is None:
                raise ValueError(f"{insight.event_id}: captured_at has no UTC offset")
        for insight in insights:
            stored = self._insights[_kind(insight)]
            before = stored.get(insight.event_id)
            if before is not None and is_older(insight, before):
                continue
            stored[insight.event_id] = insight
            if isinstance(insight, Visit):
                self._note_last(insight)

    async def fetch(self, kind: str, start: Instant, end: Instant) -> list[InsightEvent]:
        """Return insights of one event type with captured_at in ``[start, end)``, in that order.

        Raises ValueError for a kind that is no insight.
        """
        if kind not in self._insights:
            raise ValueError(f"{kind!r} is no kind of insight; use one of {sorted(self._insights)}")
        found = [i for i in self._insights[kind].values() if start <= i.captured_at < end]
        return sorted((i for i in found if not (isinstance(i, Visit) and i.withdrawn)), key=_order)

    async def receipts(self, event_ids: Collection[EventId]) -> list[Receipt]:
        """Return the receipts that are stored under these event ids, in any order."""
        stored = self._insights[_kind(Receipt)]
        found = (stored.get(event_id) for event_id in event_ids)
        return [receipt for receipt in found if isinstance(receipt, Receipt)]

    async def records_of(self, ids: Sequence[CustomerId]) -> list[InsightEvent]:
        """Return all that was recorded under these very ids, in the order of capture."""
        found = [
            insight
            for insights in self._insights.values()
            for insight in insights.values()
            if customer_of(insight) in ids
        ]
        return sorted(found, key=_order)

    async def last_visit(self, customer_id: CustomerId) -> InsightEvent | None:
        """Return the most recent visit recorded under this very id, even if withdrawn."""
        return self._last_visits.get(customer_id)

    async def know(
        self,
        people: CustomerDirectory,
        changed: Collection[CustomerId] | None = None,  # noqa: ARG002 - it keeps the whole directory
    ) -> None:
        """Read what is recorded as done by these people from now on; older news is ignored."""
        if people.number > self._people.number:
            self._people = people

    async def visits(self, start: Instant, end: Instant, gap_s: float) -> list[Visit]:
        """Return the visits of people that ended in ``[start, end)``, in that order."""
        recorded = [i for i in self._insights[_kind(Visit)].values() if isinstance(i, Visit)]
        united = unite(recorded, self._people.canonical, gap_s, self._people.kind_of)
        return [visit for visit in united if start <= visit.captured_at < end]

    async def expire_merges(self, before: Instant, most: int) -> int:  # noqa: ARG002
        """Delete nothing: it has no customer log beside it."""
        return 0

    async def expire(self, before: Instant, most: int) -> int:
        """Delete insights older than that, ``most`` of each kind at once; return how many."""
        gone = 0
        for insights in self._insights.values():
            old = sorted((i for i in insights.values() if i.captured_at < before), key=_order)
            for insight in old[:most]:
                del insights[insight.event_id]
            gone += len(old[:most])
        self._last_visits = self._latest_visits()
        return gone

    def _note_last(self, visit: Visit) -> None:
        last = self._last_visits.get(visit.customer_id, visit)
        if last.event_id == visit.event_id and visit.captured_at < last.captured_at:
            self._last_visits = self._latest_visits()  # after it shrank, another may be the last
        elif _order(visit) >= _order(last):
            self._last_visits[visit.customer_id] = visit

    def _latest_visits(self) -> dict[CustomerId, Visit]:
        own: dict[CustomerId, list[Visit]] = defaultdict(list)
        for insight in self._insights[_kind(Visit)].values():
            if isinstance(insight, Visit):
                own[insight.customer_id].append(insight)
        return {customer_id: max(visits, key=_order) for customer_id, visits in own.items()}


def _kind(insight: InsightEvent | type[InsightEvent]) -> str:
    return str(insight.__struct_config__.tag)


def _order(insight: InsightEvent) -> tuple[Instant, EventId]:
    return insight.captured_at, insight.event_id
