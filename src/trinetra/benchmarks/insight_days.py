"""Days of a large store as insights: the ground truth of several twins, and what is derived of it.

A wing is one twin of the built-in shop. Cameras, tills and people of a wing carry its number, so a
store of 20 cameras is three wings of six cameras and a part of a fourth. No person is missed and
everybody is recognized: more is on record than in a real store with as many people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

import msgspec

from trinetra.events.derivation import Derivation, Span
from trinetra.events.schema import (
    InsightEvent,
)
from trinetra.site import Site
from trinetra.twin.plan import FloorPlan, View
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.values import (
    EventId,
    derive_id,
)
from trinetra.wiring.config import derivations
from trinetra.wiring.simulated_insights import TruthInsights
from trinetra.wiring.simulation import site_document

DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SEEDS_PER_DAY = 100
_OPENING = {
    "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    "opens": "09:00",
    "closes": "21:00",
}
"""A day of the twin begins at nine, see ``Scenario``, and has twelve hours."""


class StoreSize(NamedTuple):
    """Cameras of a store, and shoppers an hour in each wing."""

    cameras: int = 20
    shoppers_per_hour: float = 60.0
    open_hours: float = 12.0  # as in the site's opening hours


@dataclass(frozen=True, slots=True)
class LargeStore:
    """A store of several wings."""

    size: StoreSize
    plan: FloorPlan

    @classmethod
    def of(cls, size: StoreSize) -> "LargeStore":
        """Return a store of a size."""
        return cls(size, built_in_shop())

    def views(self) -> list[tuple[int, View]]:
        """Return the cameras, with the number of their wing."""
        pairs = ((wing, view) for wing in count(1) for view in self.plan.views)
        return list(islice(pairs, self.size.cameras))

    def site(self) -> Site:
        """Return the store as a site."""
        document = site_document(self.plan)
        by_id = {camera["id"]: camera for camera in document["cameras"]}
        cameras = [_in_wing(by_id[view.camera_id], wing) for wing, view in self.views()]
        changed = {"cameras": cameras, "topology": {}, "opening_hours": [_OPENING]}
        return Site.model_validate({**document, **changed})

    def day(self, number: int) -> list[InsightEvent]:
        """Return the insights of one simulated day, the first of the twin's calendar."""
        site = self.site()
        cameras = frozenset(camera.camera_id for camera in site.cameras)
        seen: list[InsightEvent] = []
        for wing in sorted({wing for wing, _ in self.views()}):
            scenario = Scenario(
                number * _SEEDS_PER_DAY + wing,
                self.size.shoppers_per_hour,
                self.size.open_hours,
                open_hours=self.size.open_hours,
            )
            twin = Twin(self.plan, scenario)
            truth = TruthInsights(twin, site.site_id, f"-{wing}", cameras, f"{wing}")
            seen += truth.insights()
        return [*seen, *_derived(derivations(site), seen)]


def shifted(event: InsightEvent, days: int) -> InsightEvent:
    """Return an insight as it would have been that many days later."""
    later = DAY * days
    moved: dict[str, Any] = {
        name: value + later
        for name in event.__struct_fields__
        if isinstance(value := getattr(event, name), datetime)
    }
    moved["event_id"] = EventId(derive_id("year", event.event_id, days))
    return msgspec.structs.replace(event, **moved)


def _in_wing(camera: dict[str, Any], wing: int) -> dict[str, Any]:
    zones = [
        {**zone, "tills": [f"{till}-{wing}" for till in zone["tills"]]} for zone in camera["zones"]
    ]
    return {**camera, "id": f"{camera['id']}-{wing}", "zones": zones}


def _derived(
    order: Sequence[Derivation], observed: Sequence[InsightEvent]
) -> Iterator[InsightEvent]:
    """Yield what follows from the insights of a day, inputs before outputs."""
    known = list(observed)
    for derivation in order:
        if any(_tag(event) in derivation.outputs for event in observed):
            continue
        made = list(_outputs(derivation, known))
        known += made
        yield from made


def _outputs(derivation: Derivation, known: Sequence[InsightEvent]) -> Iterator[InsightEvent]:
    read = [event for event in known if _tag(event) in derivation.inputs]
    read.sort(key=lambda event: (event.captured_at, event.event_id))
    margin, window = (timedelta(seconds=s) for s in (derivation.margin_s, derivation.window_s))
    if not read:
        return
    start = read[0].captured_at.replace(hour=0, minute=0, second=0, microsecond=0)
    while start <= read[-1].captured_at:
        span = Span(start, start + window)
        near = [e for e in read if start - margin <= e.captured_at < span.end + margin]
        yield from derivation.derive(span, near)
        start = span.end


def _tag(event: InsightEvent) -> str:
    return str(type(event).__struct_config__.tag)
