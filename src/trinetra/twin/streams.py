"""Streams of chance: every part of the twin draws from its own, all of them from one seed.

A stream is named by numbers, so what one shopper or one minute of one camera draws does not depend
on who else was simulated before, nor in which process.
"""

from enum import IntEnum

import numpy as np


class Part(IntEnum):
    """What a stream of chance is for; the numbers are part of every run's result."""

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


def stream(seed: int, part: Part, *keys: int) -> np.random.Generator:
    """Return the generator of one part of a run."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, part, *keys])))
