"""The simulated world before any camera sees it: everyone's visits, waits and purchases."""

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
    """A purchase of a party; ``plate`` is set if parking was validated with it."""

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
        """Id of the visit in the ground truth."""
        return f"v{self.index:06d}"


@dataclass(frozen=True, slots=True)
class Drive:
    """One car's arrival, or its stay in a slot and its departure."""

    plate: str
    party: int
    path: Path

    @property
    def vehicle_id(self) -> str:
        """Id of the vehicle in the ground truth, the same for arrival and departure."""
        return f"c{self.party:06d}"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that happens in a run, each list in order of start."""

    plan: FloorPlan
    scenario: Scenario
    people: tuple[Person, ...]
    stays: tuple[Stay, ...]
    drives: tuple[Drive, ...]
    purchases: tuple[Purchase, ...]
