"""Simulates embeddings of bodies: how alike two pictures of one person, and of two people, are.

An embedding is a sum of independent directions, so that each share of its variance is a cosine that
was measured on labeled boxes of TUD-Stadtmitte, TUD-Campus and both views of CAVIAR OneLeaveShop1
(``benchmarks/body_links.py``): two people at two cameras have a mean cosine of 0.10, in one view
0.16; one person at two cameras 0.33, and that is one person only; in one view 0.82 after 0.2 s,
0.75 after a second, 0.65 after three and 0.53 after ten. The directions of people have few
effective dimensions, as the cosines of two people deviate by 0.1 from their mean; one pair in
fifty looked much more alike than that allows, so people share fashions now and then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.detector import Found
from trinetra.twin.noise import Walkers
from trinetra.twin.sensing import NO_ROW, Bodies
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay

Array = NDArray[np.float64]
DIMENSION = 256
BODY_TASK, MODEL = "body_embed", "twin@1"
_BLOCKS, _BLOCK = 4, 32
_LATENT = _BLOCKS * _BLOCK
_FALLS_OVER = 5.0
"""Dimensions over which the variance of people's directions falls by e: 10 effective ones."""
_ALL, _VIEW, _PERSON, _PERSON_IN_VIEW, _SLOW = 0.10, 0.06, 0.23, 0.12, 0.30
_MEMORY_S = 3.5
_FASHIONS = 50
_FASHION_SHARE = 0.67
"""Of the direction of a person; the pair in alike clothes had a mean cosine of 0.51 in one view."""
_EVERY_FRAMES = 5
_LEAST_PX = 50.0
_LARGEST_BYTE = 127
_COMMON, _STYLE, _OWN, _HERE, _CHOICE = range(5)


@dataclass(slots=True)
class BodyBank:
    """What everyone's body looks like to a camera; customers dress anew for every visit."""

    seed: int
    _basis: Array = field(init=False)
    _slow_scale: Array = field(init=False)

    def __post_init__(self) -> None:
        random = stream(self.seed, Part.BODIES, _COMMON).standard_normal((DIMENSION, _LATENT))
        self._basis = np.linalg.qr(random)[0]
        self._slow_scale = np.tile(_falling(), _BLOCKS) / np.sqrt(_BLOCKS)

    def seen(
        self,
        camera: int,
        bodies: Bodies,
        walkers: Walkers,
        found: Found,
        stays: Sequence[Stay],
        rng: np.random.Generator,
    ) -> list[bytes | None]:
        """Return the embedding of each box; None for small boxes and in most frames."""
        packed: list[bytes | None] = [None] * len(found)
        height_px = found.xyxy[:, 3] - found.xyxy[:, 1]
        due = (found.frame % _EVERY_FRAMES == 0) & (height_px >= _LEAST_PX)
        rows = np.flatnonzero(due & (found.row != NO_ROW))
        if not len(rows):
            return packed
        own = np.stack([self._of(stay, camera) for stay in stays])
        slow = walkers.forgetful(_MEMORY_S, _LATENT, rng) * self._slow_scale
        shown = own[bodies.who] + np.sqrt(_SLOW) * slow
        body = found.row[rows]
        hider = bodies.hider[body]
        kept = np.where(hider == NO_ROW, 1.0, bodies.visible[body])[:, None]
        seen = kept * shown[body] + (1 - kept) * shown[hider]
        fresh = 1 - (_ALL + _VIEW + _PERSON + _PERSON_IN_VIEW + _SLOW)
        seen += np.sqrt(fresh / _LATENT) * rng.standard_normal(seen.shape)
        for row, vector in zip(rows.tolist(), seen @ self._basis.T, strict=True):
            largest = np.abs(vector).max()
            packed[row] = np.rint(vector * (_LARGEST_BYTE / largest)).astype(np.int8).tobytes()
        return packed

    def _of(self, stay: Stay, camera: int) -> Array:
        """Return what stays the same of a person in one view."""
        style = _FASHIONS  # of the staff
        if stay.person.kind != "staff":
            style = int(stream(self.seed, Part.BODIES, _CHOICE, stay.index).integers(_FASHIONS))
        worn = np.sqrt(_FASHION_SHARE) * self._drawn(_STYLE, style)
        worn += np.sqrt(1 - _FASHION_SHARE) * self._drawn(_OWN, stay.index)
        # In separate dimensions, so that what is common to a view tells nothing about a person.
        return np.concatenate(
            [
                np.sqrt(_ALL) * self._drawn(_COMMON, 0),
                np.sqrt(_VIEW) * self._drawn(_COMMON, 1 + camera),
                np.sqrt(_PERSON) * worn,
                np.sqrt(_PERSON_IN_VIEW) * self._drawn(_HERE, stay.index, camera),
            ]
        )

    def _drawn(self, *key: int) -> Array:
        """Return the direction ``(n,)`` of a key, a unit vector."""
        drawn = stream(self.seed, Part.BODIES, *key).standard_normal(_BLOCK) * _falling()
        return np.asarray(drawn / np.linalg.norm(drawn))


def _falling() -> Array:
    """Return the deviations of a block's dimensions, with a variance of 1 in all."""
    scale = np.exp(-np.arange(_BLOCK) / (2 * _FALLS_OVER))
    return np.asarray(scale / np.linalg.norm(scale))
