"""Simulates a detector: misses, scores, wrong and surplus boxes as measured on labeled footage.

Every noise is correlated in time and has the measured distribution (``twin/noise.py``); a factor of
``Sensing`` makes it weaker or stronger.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trinetra.twin.camera import Camera
from trinetra.twin.noise import Noise, Walkers, load_noise, rank_of, root_of, rows_of_each
from trinetra.twin.scenario import Sensing
from trinetra.twin.sensing import NO_ROW, Bodies, Rows, area_of

Array = NDArray[np.float64]
STEADY = 5
"""Number of steady draws for each person: one for being found, four for the sides of the box."""
_LUCK, _SIDES = slice(0, 1), slice(1, 5)
_PLACES = 12
"""Places of a view where ghosts come again; an assumption, the footage is too short to count."""
_MOST = 0.98
"""A rate that a factor raises stays below this."""


@dataclass(frozen=True, slots=True)
class Found:
    """Detector output: ``frame (n,)``, ``xyxy (n, 4)``, ``score (n,)``.

    ``row (n,)`` is the row of the body that the box shows, or NO_ROW for a ghost.
    """

    frame: Rows
    row: Rows
    xyxy: Array
    score: Array

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Detector:
    """The detector of one camera; ``places (12, 4)`` rank size, shape and place of its ghosts."""

    camera: Camera
    sensing: Sensing
    places: Array
    noise: Noise

    @classmethod
    def of(cls, camera: Camera, sensing: Sensing, rng: np.random.Generator) -> "Detector":
        """Return the detector of a camera; ``rng`` chooses where it sees ghosts."""
        return cls(camera, sensing, rng.random((_PLACES, 4)), load_noise())

    def detect(
        self, bodies: Bodies, walkers: Walkers, frames: int, rng: np.random.Generator
    ) -> Found:
        """Return all boxes in some frames; ``walkers`` has ``STEADY`` draws of each subject."""
        parts = [
            self._bodies(bodies, walkers, rng),
            self._parts(bodies, rng),
            self._ghosts(frames, rng),
        ]
        columns = (np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS)
        return Found(*columns)

    # --- bodies -------------------------------------------------------------------------------

    def _bodies(self, bodies: Bodies, walkers: Walkers, rng: np.random.Generator) -> Found:
        score = self._scores(bodies, walkers, rng)
        boxes, score = self._merged(bodies, score, walkers, rng)
        xyxy = boxes + self._errors(bodies, walkers, rng)
        rows = np.flatnonzero(score)
        return Found(bodies.frame[rows], rows, self._within(xyxy[rows]), score[rows])

    def _scores(self, bodies: Bodies, walkers: Walkers, rng: np.random.Generator) -> Array:
        """Return the score of every body, 0 where it is missed."""
        noise = self.noise.detection
        luck = rank_of(walkers.correlated(noise.persistence, _LUCK, rng)[:, 0])
        missed = np.minimum(self._miss_rate(bodies) * self.sensing.misses, _MOST)
        rank = np.clip((luck - missed) / (1 - missed), 0, 1)
        score = np.where(
            bodies.visible >= self.noise.clear_from,
            self.noise.quantile(noise.score_clear, rank),
            self.noise.quantile(noise.score_hidden, rank),
        )
        return np.asarray(np.where(luck < missed, 0.0, score))

    def _miss_rate(self, bodies: Bodies) -> Array:
        """Return the measured logistic regression on how hidden and how small a body is.

        The law of small bodies is that of people; no labeled footage has cars.
        """
        height = (bodies.xyxy[:, 3] - bodies.xyxy[:, 1]) / self._longer_px
        small = np.log(np.maximum(self.noise.small_below / np.maximum(height, 1e-6), 1.0))
        if "person" not in self.camera.view.labels:
            small = np.zeros_like(small)
        base, hidden, tiny = self.noise.detection.miss
        return 1 / (1 + np.exp(-(base + hidden * (1 - bodies.visible) + tiny * small)))

    @property
    def _longer_px(self) -> float:
        return float(max(self.camera.view.width, self.camera.view.height))

    def _errors(self, bodies: Bodies, walkers: Walkers, rng: np.random.Generator) -> Array:
        """Return the errors of the sides in pixels, ``(n, 4)``."""
        noise = self.noise.boxes
        mix = root_of(noise.correlation)
        normal = walkers.correlated(noise.persistence, _SIDES, rng)
        rank = rank_of((normal[:, None, :] * mix).sum(axis=2))
        clear, hidden = (
            np.stack([self.noise.quantile(s, rank[:, k]) for k, s in enumerate(sides)], axis=1)
            for sides in (noise.clear, noise.hidden)
        )
        error = np.where((bodies.visible >= self.noise.clear_from)[:, None], clear, hidden)
        height = bodies.xyxy[:, 3] - bodies.xyxy[:, 1]
        return np.asarray(error * height[:, None] * self.sensing.boxes)

    def _merged(
        self, bodies: Bodies, score: Array, walkers: Walkers, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return boxes and scores: where two people share a box, it is that of the nearer one."""
        noise = self.noise.merged
        luck = rank_of(walkers.forgetful(noise.length_s, 1, rng)[:, 0])
        rate = np.array([0.0, *noise.rate])[np.searchsorted(noise.hidden_from, 1 - bodies.visible)]
        rate = np.minimum(rate * self.sensing.merged, _MOST)
        boxes, score = bodies.xyxy.copy(), score.copy()
        far = np.flatnonzero((luck < rate) & (bodies.hider != NO_ROW))
        far = far[(score[far] > 0) | (score[bodies.hider[far]] > 0)]
        near = bodies.hider[far]
        low = np.minimum(boxes[far, :2], boxes[near, :2])
        high = np.maximum(boxes[far, 2:], boxes[near, 2:])
        boxes[near] = np.concatenate([low, high], axis=1)
        score[near] = np.maximum(score[near], score[far])
        score[far] = 0.0
        return boxes, score

    # --- surplus ------------------------------------------------------------------------------

    def _parts(self, bodies: Bodies, rng: np.random.Generator) -> Found:
        """Return second boxes on parts of bodies, each for a short time."""
        noise, fps = self.noise.parts, self.camera.view.fps
        rows: list[Rows] = []
        spell: list[Rows] = []
        count = 0
        for mine in rows_of_each(bodies.who):
            first, last = bodies.frame[mine[[0, -1]]] / fps
            seconds = last - first + 1 / fps
            number = rng.poisson(noise.per_person_s * self.sensing.parts * seconds)
            begin = first + rng.random(number) * seconds
            end = begin + self.noise.quantile(noise.length_s, rng.random(number))
            at = bodies.frame[mine, None] / fps
            which, during = np.nonzero((at >= begin) & (at < end))
            rows.append(mine[which])
            spell.append(during + count)
            count += number
        mix = root_of(noise.place_correlation)
        rank = rank_of((rng.standard_normal((count, 1, 4)) * mix).sum(axis=2))
        place = np.stack([self.noise.quantile(s, rank[:, k]) for k, s in enumerate(noise.place)], 1)
        return self._placed(bodies, _joined(rows), place[_joined(spell)], rng)

    def _placed(self, bodies: Bodies, row: Rows, place: Array, rng: np.random.Generator) -> Found:
        body = bodies.xyxy[row]
        corner, sides = np.tile(body[:, :2], 2), np.tile(body[:, 2:] - body[:, :2], 2)
        score = self.noise.quantile(self.noise.parts.score, rng.random(len(row)))
        return self._real(Found(bodies.frame[row], row, corner + place * sides, score))

    def _ghosts(self, frames: int, rng: np.random.Generator) -> Found:
        """Return boxes where no one is: most come again at the places of this view."""
        noise, fps = self.noise.ghosts, self.camera.view.fps
        count = rng.poisson(noise.spells_per_s * self.sensing.ghosts * frames / fps)
        begin = rng.random(count) * frames / fps
        end = begin + self.noise.quantile(noise.length_s, rng.random(count))
        again = rng.random(count) < 1 - 1 / max(noise.spells_per_place, 1)
        known, new = self.places[rng.integers(0, _PLACES, count)], rng.random((count, 4))
        rank = np.where(again[:, None], known, new)
        which, frame = np.nonzero(
            (np.arange(frames) / fps >= begin[:, None]) & (np.arange(frames) / fps < end[:, None])
        )
        boxes = self._ghost_boxes(rank)[which]
        height = boxes[:, 3] - boxes[:, 1]
        boxes = boxes + rng.normal(0, noise.jitter, boxes.shape) * height[:, None]
        score = self.noise.quantile(noise.score, rng.random(len(which)))
        return self._real(Found(frame, np.full(len(which), NO_ROW, np.intp), boxes, score))

    def _ghost_boxes(self, rank: Array) -> Array:
        """Return a box ``(n, 4)`` for ranks ``(n, 4)`` of its height, shape and place."""
        noise, view = self.noise.ghosts, self.camera.view
        height = self.noise.quantile(noise.height, rank[:, 0]) * self._longer_px
        width = self.noise.quantile(noise.aspect, rank[:, 1]) * height
        u, v = rank[:, 2] * view.width, rank[:, 3] * view.height
        return np.stack([u - width / 2, v - height, u + width / 2, v], axis=1)

    # --- all ----------------------------------------------------------------------------------

    def _real(self, found: Found) -> Found:
        boxes = self._within(found.xyxy)
        kept = area_of(boxes) > 1
        return Found(found.frame[kept], found.row[kept], boxes[kept], found.score[kept])

    def _within(self, xyxy: Array) -> Array:
        """Return boxes clipped to the image, with their corners in order."""
        limits = np.array([self.camera.view.width, self.camera.view.height] * 2, np.float64)
        boxes = np.clip(xyxy, 0, limits)
        low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        return np.concatenate([low, high], axis=1)


_COLUMNS = ("frame", "row", "xyxy", "score")


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate([*parts, np.zeros(0, np.intp)]).astype(np.intp)
