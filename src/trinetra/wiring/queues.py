"""Queues of a site now: people in them by the latest events, waits and forecasts by the store."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trinetra.client.models import QueueNow, QueuesNow, TillNow, WaitForecast
from trinetra.events.schema import AnyEvent, Occupancy, QueueVisit
from trinetra.insights.queues.forecast import HORIZONS_S, RECENT_S, QueueState, forecast, state_at
from trinetra.insights.queues.live import LiveQueue, live
from trinetra.insights.queues.plan import QueuePlan, ZonePlace
from trinetra.insights.queues.track_record import walk
from trinetra.ports import Clock, SiteStore
from trinetra.values import after
from trinetra.wiring.cached import Cached

_NOW_S = 1.0
_ERRORS_S = 300.0
_HISTORY_S = 86_400.0
_LOOK_BACK_S = (900.0, 3_600.0, 21_600.0)
"""Occupancy is told when it changes: the last change is searched ever further back."""
Errors = Mapping[tuple[ZonePlace, float], Sequence[float]]


class _Queue(NamedTuple):
    place: ZonePlace
    now: LiveQueue
    visits: Sequence[QueueVisit]


class StoredQueues:
    """The queues of a site; ``take`` is fed with every event."""

    def __init__(self, plan: QueuePlan, store: SiteStore, clock: Clock) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._occupancy: dict[ZonePlace, Occupancy] = {}
        self._is_seeded = False
        self._now = Cached(self._make, _NOW_S, clock)
        self._errors = Cached(self._past_errors, _ERRORS_S, clock)

    def change(self, plan: QueuePlan) -> None:
        """Go by other queues from now on; what is known of those that stay is kept."""
        self._plan = plan
        self._occupancy = {p: last for p, last in self._occupancy.items() if p in plan.zones}
        self._is_seeded = False

    def take(self, event: AnyEvent) -> None:
        """Note the number of people in a queue or at a till."""
        if isinstance(event, Occupancy) and event.zone_id is not None:
            place = ZonePlace(event.camera_id, event.zone_id)
            last = self._occupancy.get(place)
            if place in self._plan.zones and (last is None or last.captured_at < event.captured_at):
                self._occupancy[place] = event

    async def now(self) -> QueuesNow:
        """Return the queues and tills now. Raises StoreUnavailable."""
        return await self._now.get()

    async def _make(self) -> QueuesNow:
        await self._seed()
        at = self._clock.now()
        recent = await self._visits(RECENT_S)
        state = live(self._plan, at, self._occupancy, recent)
        errors = await self._errors.get()
        queues = [
            _Queue(place, queue, [v for v in recent if _place_of(v) == place])
            for place, queue in state.queues.items()
        ]
        return QueuesNow(
            at=at,
            queues=tuple(
                _queue_now(q, state_at(at, q.visits, q.now.people or 0), errors) for q in queues
            ),
            tills=tuple(TillNow(id=till, is_open=o) for till, o in sorted(state.is_open.items())),
        )

    async def _seed(self) -> None:
        """Read the last known occupancy once: events tell only changes from now on."""
        if self._is_seeded or not self._plan.zones:
            return
        for back_s in _LOOK_BACK_S:
            now = self._clock.now()
            for event in await self._store.fetch("occupancy", after(now, -back_s), after(now, 1)):
                self.take(event)
            if self._plan.zones.keys() <= self._occupancy.keys():
                break
        self._is_seeded = True

    async def _visits(self, back_s: float) -> list[QueueVisit]:
        now = self._clock.now()
        found = await self._store.fetch("queue_visit", after(now, -back_s), after(now, 1))
        return [visit for visit in found if isinstance(visit, QueueVisit)]

    async def _past_errors(self) -> Errors:
        visits = await self._visits(_HISTORY_S)
        places = [place for place, zone in self._plan.zones.items() if zone.kind == "queue"]
        return await asyncio.to_thread(_errors_of, places, visits)


def _errors_of(places: Sequence[ZonePlace], visits: Sequence[QueueVisit]) -> Errors:
    return {
        (place, horizon_s): [past.error for past in walk(own, horizon_s)]
        for place in places
        for own in [[visit for visit in visits if _place_of(visit) == place]]
        for horizon_s in HORIZONS_S
    }


def _place_of(visit: QueueVisit) -> ZonePlace | None:
    return None if visit.queue_id is None else ZonePlace(visit.camera_id, visit.queue_id)


def _queue_now(queue: _Queue, state: QueueState, errors: Errors) -> QueueNow:
    # Without a view of the queue, the number of people in it is unknown, and so is the forecast.
    told = (
        {}
        if queue.now.people is None
        else {
            horizon_s: forecast(state, errors.get((queue.place, horizon_s), ()))
            for horizon_s in HORIZONS_S
        }
    )
    return QueueNow(
        camera=queue.place.camera_id,
        zone=queue.place.zone_id,
        tills=tuple(sorted(queue.now.tills)),
        people=queue.now.people,
        wait_s=state.wait_s,
        served=sum(visit.end == "served" for visit in queue.visits),
        abandoned=sum(visit.end == "abandoned" for visit in queue.visits),
        forecasts=tuple(
            WaitForecast(horizon_s=h, wait_s=f.wait_s, low_s=f.low_s, high_s=f.high_s)
            for h, f in told.items()
            if f is not None
        ),
    )
