"""A small synthetic shop for flow tests: people with faces, as detection events."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from trinetra.events.codec import encode, pack_embedding
from trinetra.events.schema import DetectionEvent, FaceBox, FaceQuality, ObjectBox
from trinetra.events.topics import DETECTIONS
from trinetra.ports import Record
from trinetra.values import CameraId, EventId, SiteId, derive_id, first_seq

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SITE = SiteId("shop")
FPS = 5.0


@dataclass
class Person:
    """A person with a face; its photos scatter as those of the default embedder do (~0.7)."""

    seed: int
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self.face = self._unit(self._random.normal(size=512))

    def photo(self) -> np.ndarray:
        noise = self._unit(self._random.normal(size=512))
        return self._unit(self.face + 0.6 * noise)

    @staticmethod
    def _unit(vector: np.ndarray) -> np.ndarray:
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def detection(
    camera: str, at: datetime, people: list[tuple[Person, float]], *, face_px: float = 50.0
) -> DetectionEvent:
    """Return the event of a frame with people at the given x positions."""
    objects, faces = [], []
    for person, x in people:
        objects.append(ObjectBox("person", 0.9, (x, 100.0, x + 120.0, 500.0)))
        box = (x + 30.0, 110.0, x + 30.0 + face_px, 110.0 + face_px)
        usable = face_px >= 32
        faces.append(
            FaceBox(
                score=0.9,
                box=box,
                landmarks=((1.0, 1.0),) * 5,
                quality=FaceQuality(0.8, face_px, 0.8, 0.9, 0.9),
                embedding=pack_embedding(person.photo()) if usable else None,
                unusable=None if usable else "too_small",
            )
        )
    seq = first_seq(NOON) + round((at - NOON).total_seconds() * FPS)
    return DetectionEvent(
        event_id=EventId(derive_id("det", SITE, camera, at, seq)),
        site_id=SITE,
        camera_id=CameraId(camera),
        captured_at=at,
        frame_seq=seq,
        frame_width=1280,
        frame_height=720,
        objects=tuple(objects),
        faces=tuple(faces),
    )


def visit(
    camera: str, start_s: float, people: list[Person], *, seconds: float = 3.0, face_px: float = 50
) -> Iterator[DetectionEvent]:
    """Yield the frames of people walking past a camera side by side, then an empty view."""
    for number in range(round(seconds * FPS)):
        at = NOON + timedelta(seconds=start_s + number / FPS)
        places = [(person, 100.0 + 300.0 * i + 6.0 * number) for i, person in enumerate(people)]
        yield detection(camera, at, places, face_px=face_px)
    for number in range(round(3 * FPS)):
        yield detection(camera, NOON + timedelta(seconds=start_s + seconds + number / FPS), [])


def record(event: DetectionEvent) -> Record:
    """Return the event as it goes into the log."""
    return Record(DETECTIONS, event.camera_id, encode(event))
