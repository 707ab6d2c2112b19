"""Simulates the days of a shop: parties arrive, browse, queue, pay and leave; staff work.

A discrete-event simulation of decisions; movement in between is laid out as trails of knots.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from trinetra.twin.arrivals import arrival_times
from trinetra.twin.people import (
    Person,
    Population,
    draw_duration,
    group_size,
    mean_group_size,
    offsets,
)
from trinetra.twin.plan import CarPark, FloorPlan, Point, Spot
from trinetra.twin.scenario import Scenario
from trinetra.twin.streams import Part, stream
from trinetra.twin.tills import Hall, Place, Ticket
from trinetra.twin.walks import Router, Trail
from trinetra.twin.world import Drive, Outcome, Purchase, Stay, World

_QUEUE_PACE_MPS = 0.8
_DRIVE_MPS = 3.5
_GET_OUT_S = (15.0, 40.0)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_VALIDATION_SHARE = 0.3
_CARD_SHARE = 0.65
_PRICE_CENTS = (280.0, 0.7)
_STAFF_STAY_S = (60.0, 600.0)
_STAFF_PACE_MPS = 1.1
_FLOOR_STAFF = 2


@dataclass(slots=True)
class _Party:
    """People who came together, on their common way through the shop."""

    index: int
    rng: np.random.Generator
    members: list[Person]
    offsets: list[Point]
    speed_mps: float
    trail: Trail
    stops: list[Spot]
    buys: bool
    slot: int | None = None
    plate: str | None = None
    parked_s: float = 0.0
    ticket: Ticket | None = None
    items: int = 0


@dataclass(slots=True)
class _Agenda:
    """Event queue: earliest first, ties in the order of scheduling."""

    _heap: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _tie: "itertools.count[int]" = field(default_factory=itertools.count)

    def plan(self, t: float, happening: Callable[[float], None]) -> None:
        heapq.heappush(self._heap, (t, next(self._tie), happening))

    def run(self) -> None:
        while self._heap:
            t, _, happening = heapq.heappop(self._heap)
            happening(t)


class _Store:
    """State of the shop during the simulation."""

    def __init__(self, plan: FloorPlan, scenario: Scenario) -> None:
        self.plan, self.scenario = plan, scenario
        self.behavior = scenario.behavior
        self.router = Router(plan)
        daily = scenario.shoppers_per_hour * min(scenario.open_hours, scenario.hours)
        # Twice as many regulars as come on one day: each comes about every other day.
        regulars = max(4, math.ceil(2 * self.behavior.regular_share * daily))
        self.population = Population(scenario.seed, self.behavior, regulars)
        self.agenda = _Agenda()
        self.tills = plan.tills[: self.behavior.open_tills]
        self.hall = Hall(len(self.tills), self.behavior.jockey_lead, self._plan_payment)
        self.free_slots = list(range(len(plan.car_park.slots))) if plan.car_park else []
        self.parties: dict[int, _Party] = {}
        self.stays: list[Stay] = []
        self.drives: list[Drive] = []
        self.purchases: list[Purchase] = []

    def simulate(self) -> World:
        """Simulate all days and return the world."""
        self._employ()
        for day, window in enumerate(self.scenario.windows()):
            self._open(day, window)
        self.agenda.run()
        return World(
            self.plan,
            self.scenario,
            tuple(self.population.people),
            tuple(sorted(self.stays, key=lambda stay: stay.index)),
            tuple(self.drives),
            tuple(sorted(self.purchases, key=lambda p: (p.paid_s, p.party))),
        )

    # --- shoppers -----------------------------------------------------------------------------

    def _open(self, day: int, window: tuple[float, float]) -> None:
        rng = stream(self.scenario.seed, Part.ARRIVALS, day)
        hours = (window[1] - window[0]) / 3600
        people = self.scenario.shoppers_per_hour * hours
        expected = people / mean_group_size(self.behavior.group_rate)
        for t in arrival_times(rng, expected, window, self.scenario.open_hours * 3600):
            self.agenda.plan(float(t), self._arrive)

    def _arrive(self, t: float) -> None:
        index = len(self.parties)
        rng = stream(self.scenario.seed, Part.PARTY, index)
        party = self.parties[index] = self._gather(index, rng, t)
        park = self.plan.car_park
        if park and self.free_slots and rng.random() < self.behavior.car_share:
            self._drive_in(party, park, t)
        else:
            party.trail = Trail.begin(rng, t, self.router.place(self.plan.street))
        self._shop(party)

    def _gather(self, index: int, rng: np.random.Generator, t: float) -> _Party:
        behavior = self.behavior
        size = group_size(rng, behavior.group_rate)
        members = [
            self.population.come(rng, t, is_child=self.population.child(rng, member))
            for member in range(size)
        ]
        paces = rng.normal(behavior.speed_mps, behavior.speed_deviation_mps, size)
        return _Party(
            index=index,
            rng=rng,
            members=members,
            offsets=offsets(rng, size),
            speed_mps=float(np.clip(paces.min(), 0.6, 1.9)),
            trail=Trail.begin(rng, t, (0.0, 0.0)),
            stops=self._wishes(rng),
            buys=bool(self.plan.tills) and bool(rng.random() < behavior.buyer_share),
        )

    def _wishes(self, rng: np.random.Generator) -> list[Spot]:
        shelves = self.plan.of_kind("shelf")
        if not shelves:
            return []
        count = 1 + int(rng.poisson(self.behavior.shelves_mean))
        return [shelves[int(i)] for i in rng.integers(0, len(shelves), count)]

    def _shop(self, party: _Party) -> None:
        """Walk in, visit the shelves, then continue to the tills or back out."""
        behavior, trail, rng = self.behavior, party.trail, party.rng
        pace = party.speed_mps * behavior.shopping_pace
        at = self._begin_at(party)
        for name in self.plan.entry:
            trail.walk(self.router.way(at, name), party.speed_mps)
            at = name
            self._pause_at_welcome(party, name)
        for spot in party.stops:
            trail.walk(self.router.way(at, spot.name), pace)
            trail.stand(trail.now + draw_duration(rng, behavior.shelf_stay), spot.facing_rad, 0.2)
            at = spot.name
        if not party.buys:
            self._go_home(party, at, "browsed")
            return
        trail.walk(self.router.way(at, self.plan.tills[0].approach), pace)
        self.agenda.plan(trail.now, lambda t: self._queue(party, t))

    def _pause_at_welcome(self, party: _Party, name: str) -> None:
        spots = {spot.name: spot for spot in self.plan.of_kind("welcome")}
        if name in spots and party.rng.random() < self.behavior.welcome_share:
            stay_s = draw_duration(party.rng, self.behavior.welcome_stay)
            party.trail.stand(party.trail.now + stay_s, spots[name].facing_rad)

    def _begin_at(self, party: _Party) -> str:
        park = self.plan.car_park
        return park.walk if park and party.slot is not None else self.plan.street

    def _go_home(self, party: _Party, at: str, outcome: Outcome) -> None:
        trail, plan = party.trail, self.plan
        for name in (*plan.exit, self._begin_at(party)):
            trail.walk(self.router.way(at, name), party.speed_mps)
            at = name
        if party.slot is not None and plan.car_park:
            trail.walk([plan.car_park.slots[party.slot]], party.speed_mps)
        self._record(party, outcome)
        if party.slot is not None and plan.car_park:
            self._drive_out(party, plan.car_park)

    def _record(self, party: _Party, outcome: Outcome) -> None:
        path = party.trail.path()
        for person, offset in zip(party.members, party.offsets, strict=True):
            self.population.leave(person, path.end_s)
            stay = Stay(
                len(self.stays), person, party.index, path.beside(offset), outcome, party.ticket
            )
            self.stays.append(stay)

    # --- tills --------------------------------------------------------------------------------

    def _queue(self, party: _Party, t: float) -> None:
        rng, behavior = party.rng, self.behavior
        party.items = round(draw_duration(rng, behavior.items))
        mean_s = behavior.service_fixed_s + behavior.service_per_item_s * party.items
        sigma = behavior.service_sigma
        ticket = party.ticket = Ticket(
            party=party.index,
            balk_at=2 + int(rng.poisson(max(behavior.balk_at - 2, 0.0))),
            patience_s=draw_duration(rng, behavior.patience),
            service_s=mean_s * math.exp(float(rng.normal(-sigma * sigma / 2, sigma))),
            jockeys=bool(rng.random() < behavior.jockey_share),
        )
        self.hall.join(t, ticket)
        if ticket.end == "balked":
            self._leave_tills(party, "balked")
            return
        self.agenda.plan(t + ticket.patience_s, lambda now: self._lose_patience(party, now))

    def _plan_payment(self, t: float, ticket: Ticket) -> None:
        self.agenda.plan(t, lambda now: self._pay(self.parties[ticket.party], now))

    def _pay(self, party: _Party, t: float) -> None:
        ticket, rng = party.ticket, party.rng
        if ticket is None:
            return
        self.hall.finish(t, ticket)
        median, sigma = _PRICE_CENTS
        prices = median * np.exp(rng.normal(0, sigma, party.items))
        validates = party.plate is not None and rng.random() < _VALIDATION_SHARE
        self.purchases.append(
            Purchase(
                party=party.index,
                till_id=self.plan.tills[ticket.places[-1].till].till_id,
                paid_s=t,
                items=party.items,
                amount_cents=int(np.rint(prices).sum()),
                tender="card" if rng.random() < _CARD_SHARE else "cash",
                plate=party.plate if validates else None,
            )
        )
        self._leave_tills(party, "bought")

    def _lose_patience(self, party: _Party, t: float) -> None:
        if party.ticket and self.hall.give_up(t, party.ticket):
            self._leave_tills(party, "reneged")

    def _leave_tills(self, party: _Party, outcome: Outcome) -> None:
        ticket = party.ticket
        if ticket is None or ticket.left_s is None:
            return
        for place, until in itertools.zip_longest(ticket.places, ticket.places[1:]):
            self._stand_in_line(party, place, until.t if until else ticket.left_s)
        till = self.plan.tills[ticket.places[-1].till if ticket.places else 0]
        party.trail.walk([self.router.place(till.leave)], party.speed_mps)
        self._go_home(party, till.leave, outcome)

    def _stand_in_line(self, party: _Party, place: Place, until: float) -> None:
        """Walk to a place in the queue; a party that is called meanwhile arrives slightly late."""
        till, trail = self.plan.tills[place.till], party.trail
        spot = (
            till.desk[0] + place.rank * till.step[0],
            till.desk[1] + place.rank * till.step[1],
        )
        trail.stand(place.t, till.facing_rad, 0.05)
        trail.walk([spot], _QUEUE_PACE_MPS, exact=True)
        trail.stand(until, till.facing_rad, 0.05)

    # --- cars ---------------------------------------------------------------------------------

    def _drive_in(self, party: _Party, park: CarPark, t: float) -> None:
        party.slot = self.free_slots.pop(int(party.rng.integers(len(self.free_slots))))
        party.plate = _plate(self.scenario.seed, party.members[0])
        slot = park.slots[party.slot]
        drive = Trail.begin(party.rng, t, park.gate)
        drive.drive([(slot[0], park.lane_y_m), slot], _DRIVE_MPS)
        party.parked_s = drive.now
        self.drives.append(Drive(party.plate, party.index, drive.path()))
        party.trail = Trail.begin(
            party.rng, drive.now + float(party.rng.uniform(*_GET_OUT_S)), slot
        )
        party.trail.walk([self.router.place(park.walk)], party.speed_mps)

    def _drive_out(self, party: _Party, park: CarPark) -> None:
        if party.slot is None or party.plate is None:
            return
        slot = park.slots[party.slot]
        leaves = party.trail.now + float(party.rng.uniform(*_GET_OUT_S))
        drive = Trail.begin(party.rng, party.parked_s, slot)
        drive.wait(leaves)
        drive.drive([(slot[0], park.lane_y_m), park.gate], _DRIVE_MPS)
        self.drives.append(Drive(party.plate, party.index, drive.path()))
        self.agenda.plan(leaves, lambda _: self._free(party))

    def _free(self, party: _Party) -> None:
        if party.slot is not None:
            self.free_slots.append(party.slot)

    # --- staff --------------------------------------------------------------------------------

    def _employ(self) -> None:
        """Staff every till every day, and let some staff walk the floor; same people each day."""
        for till in self.tills:
            person = self.population.hire()
            for day, (opens, closes) in enumerate(self.scenario.windows()):
                rng = stream(self.scenario.seed, Part.STAFF, person.index, day)
                trail = Trail.begin(rng, opens, till.cashier)
                trail.stand(closes, till.facing_rad + math.pi, 0.08)
                self._record_staff(person, trail)
        shelves = [*self.plan.of_kind("shelf"), *self.plan.of_kind("welcome")]
        for _ in range(_FLOOR_STAFF if shelves else 0):
            person = self.population.hire()
            for day, window in enumerate(self.scenario.windows()):
                rng = stream(self.scenario.seed, Part.STAFF, person.index, day)
                self._record_staff(person, self._round(rng, shelves, window))

    def _round(
        self, rng: np.random.Generator, spots: list[Spot], window: tuple[float, float]
    ) -> Trail:
        at = spots[int(rng.integers(len(spots)))]
        trail = Trail.begin(rng, window[0], (at.x_m, at.y_m))
        while trail.now < window[1]:
            trail.stand(trail.now + float(rng.uniform(*_STAFF_STAY_S)), at.facing_rad, 0.25)
            to = spots[int(rng.integers(len(spots)))]
            trail.walk(self.router.way(at.name, to.name), _STAFF_PACE_MPS)
            at = to
        return trail

    def _record_staff(self, person: Person, trail: Trail) -> None:
        self.stays.append(Stay(len(self.stays), person, -1, trail.path(), "worked", None))


def _plate(seed: int, driver: Person) -> str:
    """Return the license plate of a person's car, the same on every visit."""
    rng = stream(seed, Part.CAR, driver.index)
    letters = "".join(_LETTERS[int(i)] for i in rng.integers(0, len(_LETTERS), 3))
    return f"{letters[0]}-{letters[1:]} {int(rng.integers(100, 10_000))}"


def simulate(plan: FloorPlan, scenario: Scenario) -> World:
    """Return the world that results from running the scenario on a floor plan."""
    return _Store(plan, scenario).simulate()
