"""What happened, before any camera looked: everybody's visits, waits and purchases."""

from dataclasses import dataclass
from typing import Literal

from trinetra.twin.people import Person
from trinetra.twin.plan import FloorPlan
from trinetra.twin.scenario import Scenario
from trinetra.twin.tills import Ticket
from trinetra.twin.walks import Path

Outcome = Literal["bought", "browsed", "balked", "reneged", "worked"]
Tender = Literal["card", "cash"]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a party paid for, when and where; ``plate`` if the car park was validated with it."""

    party: int
    till_id: str
    paid_s: float
    items: int
    amount_cents: int
    tender: Tender
    plate: str | None


@dataclass(frozen=True, slots=True)
class Stay:
    """One person's time on the premises; ``queue`` is shared by the whole party."""

    index: int
    person: Person
    party: int
    path: Path
    outcome: Outcome
    queue: Ticket | None

    @property
    def visit_id(self) -> str:
        """The name in the truth."""
        return f"v{self.index:06d}"


@dataclass(frozen=True, slots=True)
class Drive:
    """One car's way in, or its standing in a slot and its way out."""

    plate: str
    party: int
    path: Path

    @property
    def vehicle_id(self) -> str:
        """The name in the truth, one for both ways."""
        return f"c{self.party:06d}"


@dataclass(frozen=True, slots=True)
class World:
    """A whole run's happenings, each list in the order of beginning."""

    plan: FloorPlan
    scenario: Scenario
    people: tuple[Person, ...]
    stays: tuple[Stay, ...]
    drives: tuple[Drive, ...]
    purchases: tuple[Purchase, ...]
