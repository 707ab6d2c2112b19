"""Random streams: every part of the twin draws from its own, all derived from one seed.

A stream is identified by numbers, so the draws of one shopper, or of one minute of one camera,
depend neither on what was simulated before nor on the process.
"""

from enum import IntEnum

import numpy as np


class Part(IntEnum):
    """Purposes of random streams; the numbers determine the results of every run."""

    ARRIVALS = 1
    PARTY = 2
    STAFF = 3
    PERSON = 4
    FACE = 5
    OCCASION = 6
    CAMERA = 7
    COMMON_FACE = 8
    CAR = 9
    CLOTHES = 10
    LOOK = 11
    PHOTOS = 12
    LUCK = 13
    GHOSTS = 14
    BODIES = 15
    BODY_PICTURES = 16
    POINT_OF_SALE = 40


def stream(seed: int, part: Part, *keys: int) -> np.random.Generator:
    """Return the random generator of one part of a run."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, part, *keys])))
