"""A complete run: the events of all cameras in the order in which the log receives them."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from trinetra.events.plates import PlateKey
from trinetra.twin.emission import MODELS, SEGMENT_S, Arrival, Emitter
from trinetra.twin.face_bank import FaceBank
from trinetra.twin.plan import FloorPlan
from trinetra.twin.portraits import Portraits
from trinetra.twin.scenario import Scenario
from trinetra.twin.store import simulate
from trinetra.twin.world import World
from trinetra.values import microseconds


@dataclass(frozen=True, slots=True)
class Batch:
    """The events that arrive in one segment, in order, and the frame truth, as JSON."""

    arrivals: list[Arrival]
    frames: list[bytes]


@dataclass
class Twin:
    """One run of a scenario on a floor plan; plan and scenario determine all its output.

    ``models`` maps a task to the model version that events name, ``portraits`` are photos of real
    people for the simulated ones. With ``plate_key`` the plates of cars are read, and sealed.
    """

    plan: FloorPlan
    scenario: Scenario
    models: dict[str, str] = field(default_factory=lambda: dict(MODELS))
    portraits: Portraits | None = None
    plate_key: PlateKey | None = None

    @cached_property
    def world(self) -> World:
        """The simulated world."""
        return simulate(self.plan, self.scenario)

    @cached_property
    def faces(self) -> FaceBank:
        """The faces of its people. Raises ConfigurationError for look-alikes with photos."""
        return FaceBank(self.world, self.portraits)

    def batches(self, *, with_truth: bool = True, skip_s: float = 0.0) -> Iterator[Batch]:
        """Yield the run, one minute of recording at a time.

        Whole minutes of the first ``skip_s`` seconds after the start are left out.
        """
        cameras = range(len(self.plan.views))
        emitters = [
            Emitter(self.world, index, self.faces, with_truth, self.models, self.plate_key)
            for index in cameras
        ]
        for day, (opens, closes) in enumerate(self.scenario.windows()):
            late: list[Arrival] = []
            skipped = max(0, int((skip_s - opens) // SEGMENT_S))
            for number in range(skipped, math.ceil((closes - opens) / SEGMENT_S)):
                parts = [emitter.segment(day, number) for emitter in emitters]
                late += [arrival for part in parts for arrival in part.arrivals]
                late.sort()
                end_us = self._start_us + round((opens + (number + 1) * SEGMENT_S) * 1e6)
                # Events delayed beyond this minute are held back, so that batches stay in order.
                due = sum(arrival.at_us < end_us for arrival in late)
                frames = [line for _, _, line in heapq.merge(*(part.truth for part in parts))]
                yield Batch(late[:due], frames)
                del late[:due]
            yield Batch(late, [])

    def arrivals(self, skip_s: float = 0.0) -> Iterator[Arrival]:
        """Yield every event of the run in order of arrival, without the truth of frames."""
        for batch in self.batches(with_truth=False, skip_s=skip_s):
            yield from batch.arrivals

    @property
    def _start_us(self) -> int:
        return microseconds(self.scenario.started_at)
