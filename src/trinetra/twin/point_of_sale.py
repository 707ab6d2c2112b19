"""Clocks of the tills, and when a receipt is printed.

Tills are set by hand or by a server that is reached now and then, so they differ by up to minutes
and drift like any quartz (some 20 parts in a million). The receipt is printed when the money is
taken; the customer packs and leaves after that, and some receipts are booked late. The figures are
this project's assumptions: no recording of a point of sale beside a camera is public.
"""

import math
from dataclasses import dataclass

import numpy as np

from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Purchase, World

_OFFSET_S, _DRIFT = 45.0, 2e-5
_PACKING_S, _PACKING_SIGMA = 4.0, 0.6
_LATE_SHARE, _LATE_MEAN_S = 0.1, 10.0
_MILLISECONDS = 1e3


@dataclass(frozen=True, slots=True)
class TillClock:
    """The clock of one till: how far it is ahead at the start of the run, and its drift."""

    seed: int
    ahead_s: float
    drift: float

    def issued_s(self, purchase: Purchase) -> float:
        """Return the time on the receipt of a purchase, in whole seconds as tills print it."""
        when = round(purchase.paid_s * _MILLISECONDS)
        rng = stream(self.seed, Part.POINT_OF_SALE, 1, purchase.party, when)
        packing_s = _PACKING_S * math.exp(float(rng.normal(0.0, _PACKING_SIGMA)))
        late_s = float(rng.exponential(_LATE_MEAN_S)) if rng.random() < _LATE_SHARE else 0.0
        printed_s = purchase.paid_s - packing_s + late_s
        return math.floor(printed_s + self.ahead_s + self.drift * printed_s)


def till_clocks(world: World) -> dict[str, TillClock]:
    """Return the clock of each till of a run."""
    seed = world.scenario.seed
    clocks = {}
    for number, till in enumerate(world.plan.tills):
        rng: np.random.Generator = stream(seed, Part.POINT_OF_SALE, 0, number)
        ahead_s, drift = rng.normal(0.0, [_OFFSET_S, _DRIFT])
        clocks[till.till_id] = TillClock(seed, float(ahead_s), float(drift))
    return clocks
