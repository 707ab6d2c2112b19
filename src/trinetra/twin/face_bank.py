"""Gives every simulated person a face: photos of one real person, or a synthetic one.

A real person's photos serve one simulated person only. Where there are more people than photos, the
rest have synthetic faces; ``share`` says how many have photos, and reports state it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trinetra.errors import ConfigurationError
from trinetra.twin.embeddings import SyntheticFaces
from trinetra.twin.portraits import Observed, Portraits, Rows
from trinetra.twin.streams import Part, stream
from trinetra.twin.world import Stay, World

Array = NDArray[np.float64]


@dataclass
class FaceBank:
    """Faces of the people of a world. Raises ConfigurationError for look-alikes with photos."""

    world: World
    portraits: Portraits | None = None
    _photos: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.portraits is not None and self.world.scenario.behavior.look_alike_share:
            raise ConfigurationError(
                "photos of real people have no look-alikes: leave out the photos or the look-alikes"
            )

    @cached_property
    def synthetic(self) -> SyntheticFaces:
        """The faces of people without photos."""
        scenario = self.world.scenario
        faces = SyntheticFaces(scenario.seed, self.world.people, scenario.behavior.look_alike_face)
        if self.portraits is not None:
            faces.dimension = self.portraits.dimension
        return faces

    def with_photos(self, people: Sequence[int]) -> int:
        """Return how many of some people, given by index, have photos of a real person."""
        return sum(person in self._real for person in set(people))

    def observe(
        self,
        shown: Sequence[tuple[Stay, int]],
        size_px: Array,
        blur: Array,
        rng: np.random.Generator,
    ) -> Observed:
        """Return what a worker makes of people, each shown on a camera given by index."""
        made = self.synthetic.observe(shown, size_px, blur, rng)
        rows = np.array([i for i, (s, _) in enumerate(shown) if s.person.index in self._real], int)
        if self.portraits is not None and len(rows):
            photo = np.array([self._photo(*shown[row]) for row in rows], np.intp)
            real = self.portraits.observe(photo, size_px[rows], blur[rows], rng)
            _put(made, real, rows)
        return made

    @cached_property
    def _real(self) -> dict[int, int]:
        """The real person of each simulated one that has photos."""
        if self.portraits is None:
            return {}
        order = stream(self.world.scenario.seed, Part.PHOTOS).permutation(self.portraits.people)
        return dict(enumerate(order.tolist()))

    @cached_property
    def _visit_numbers(self) -> dict[int, int]:
        """The number of each stay among those of its person."""
        past: Counter[int] = Counter()
        numbers = {}
        for stay in self.world.stays:
            numbers[stay.index] = past[stay.person.index]
            past[stay.person.index] += 1
        return numbers

    @cached_property
    def _camera_numbers(self) -> dict[int, int]:
        views = self.world.plan.views
        reading = [index for index, view in enumerate(views) if view.reads_faces]
        return {index: number for number, index in enumerate(reading)}

    def _photo(self, stay: Stay, camera: int) -> int:
        """Return the photo that a person shows to a camera on a visit.

        Every camera of a visit sees another photo, as every camera sees another moment.
        """
        key = stay.index, camera
        if key not in self._photos and self.portraits is not None:
            numbers = self._camera_numbers
            occasion = self._visit_numbers[stay.index] * len(numbers) + numbers[camera]
            self._photos[key] = self.portraits.photo(self._real[stay.person.index], occasion)
        return self._photos[key]


def _put(into: Observed, real: Observed, rows: Rows) -> None:
    """Replace some of the observed faces."""
    for name in ("found", "measures", "box", "points", "embedding"):
        getattr(into, name)[rows] = getattr(real, name)
    for row, reason in zip(rows.tolist(), real.reason, strict=True):
        into.reason[row] = reason
