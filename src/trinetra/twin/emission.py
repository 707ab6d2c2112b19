"""Turns the view of a camera into inference-worker events, one minute at a time."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from trinetra.events.codec import encode
from trinetra.events.plates import PlateKey
from trinetra.events.schema import (
    Box,
    DetectionEvent,
    FaceBox,
    FaceQuality,
    ObjectBox,
    PlateReading,
    Point,
)
from trinetra.twin.bodies import BODY_TASK, MODEL, BodyBank
from trinetra.twin.camera import Camera
from trinetra.twin.clothes import Wardrobe
from trinetra.twin.detector import STEADY, Detector, Found
from trinetra.twin.face_bank import FaceBank
from trinetra.twin.faces import Heads, heads_in_view
from trinetra.twin.noise import Walkers
from trinetra.twin.plates import PlateCamera
from trinetra.twin.portraits import MEASURES, Observed
from trinetra.twin.sensing import Bodies, Rows, cars_in_view, people_in_view
from trinetra.twin.streams import Part, stream
from trinetra.twin.truth import FrameTruth, Seen
from trinetra.twin.world import Drive, Stay, World
from trinetra.values import (
    EventId,
    Instant,
    after,
    derive_id,
    first_seq,
    instant_at,
    microseconds,
)

Array = NDArray[np.float64]
Item = TypeVar("Item")
SEGMENT_S = 60.0
MODELS = {"detect": "twin@1", "face_find": "twin@1", "face_embed": "twin@1"}
_PERIOD_JITTER = 0.05
_LATENCY_SIGMA = 0.35
_PERSON, _CAR = range(2)
_truth_encoder = msgspec.json.Encoder()


class Arrival(NamedTuple):
    """An event and the time at which the log receives it, in microseconds since the epoch.

    Arrivals sort by time, then camera, then number; no two arrivals are equal in all three.
    """

    at_us: int
    camera: int
    seq: int
    camera_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Output of one camera for one segment: events, and ground truth of frames as JSON lines."""

    arrivals: list[Arrival]
    truth: list[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of a segment: ``t`` in seconds since the start of the run, and sequence numbers."""

    t: Array
    seq: list[int]
    captured_at: list[Instant]

    def __len__(self) -> int:
        return len(self.seq)


Walker = TypeVar("Walker", Stay, Drive)


@dataclass(frozen=True, slots=True)
class _Calendar(Generic[Walker]):
    """Index of people or cars by time."""

    walkers: tuple[Walker, ...]
    starts: Array
    ends: Array

    @classmethod
    def of(cls, walkers: tuple[Walker, ...]) -> "_Calendar[Walker]":
        starts = np.array([walker.path.start_s for walker in walkers])
        return cls(walkers, starts, np.array([walker.path.end_s for walker in walkers]))

    def during(self, frames: _Frames) -> list[Walker]:
        there = (self.starts <= frames.t[-1]) & (self.ends >= frames.t[0])
        return [self.walkers[int(i)] for i in np.flatnonzero(there)]


@dataclass
class Emitter:
    """Emits one camera of a world; the output depends only on seed, camera and segment."""

    world: World
    index: int
    faces: FaceBank
    with_truth: bool = True
    models: dict[str, str] = field(default_factory=lambda: dict(MODELS))
    plate_key: PlateKey | None = None

    @cached_property
    def camera(self) -> Camera:
        """Geometry of the view."""
        return Camera(self.world.plan.views[self.index])

    @cached_property
    def _detector(self) -> Detector:
        scenario = self.world.scenario
        rng = stream(scenario.seed, Part.GHOSTS, self.index)
        return Detector.of(self.camera, scenario.sensing, rng)

    @cached_property
    def _wardrobe(self) -> Wardrobe:
        return Wardrobe(self.world.scenario.seed, self.world.scenario.sensing.clothes)

    @cached_property
    def _bodies(self) -> BodyBank:
        return BodyBank(self.world.scenario.seed)

    @cached_property
    def _stays(self) -> "_Calendar[Stay]":
        return _Calendar.of(self.world.stays)

    @cached_property
    def _drives(self) -> "_Calendar[Drive]":
        return _Calendar.of(self.world.drives)

    def segment(self, day: int, number: int) -> Segment:
        """Return the output of the camera for one segment of a day's recording window."""
        opens, closes = self.world.scenario.windows()[day]
        begin = opens + number * SEGMENT_S
        rng = stream(self.world.scenario.seed, Part.CAMERA, self.index, day, number)
        frames = self._frames(day, (begin, min(begin + SEGMENT_S, closes)), rng)
        if not len(frames):
            return Segment([], [])
        if self._is_for_vehicles:
            return self._vehicles(frames, rng)
        looks = stream(self.world.scenario.seed, Part.LOOK, self.index, day, number)
        pictures = stream(self.world.scenario.seed, Part.BODY_PICTURES, self.index, day, number)
        return self._people(frames, rng, looks, pictures)

    @property
    def _is_for_vehicles(self) -> bool:
        return "person" not in self.camera.view.labels

    def _frames(self, day: int, span: tuple[float, float], rng: np.random.Generator) -> _Frames:
        fps = self.camera.view.fps
        opens = self.world.scenario.windows()[day][0]
        # The tolerance assigns a frame on a segment border to the same segment whatever the
        # rounding.
        first, last = (int(np.ceil((edge - opens) * fps - 1e-6)) for edge in span)
        numbers = np.arange(first, max(first, last))
        jitter = rng.uniform(0, _PERIOD_JITTER / fps, len(numbers))
        micros = np.rint((opens + numbers / fps + jitter) * 1e6).astype(np.int64)
        start = self.world.scenario.started_at
        base = first_seq(after(start, opens))
        start_us = microseconds(start)
        return _Frames(
            t=micros / 1e6,
            seq=(numbers + base).tolist(),
            captured_at=[instant_at(start_us + us) for us in micros.tolist()],
        )

    # --- people -------------------------------------------------------------------------------

    def _people(
        self,
        frames: _Frames,
        rng: np.random.Generator,
        looks: np.random.Generator,
        pictures: np.random.Generator,
    ) -> Segment:
        view = self.camera.view
        stays = self._stays.during(frames)
        heights = np.array([stay.person.height_m for stay in stays])
        bodies = people_in_view(self.camera, frames.t, stays, heights)
        walkers = self._walkers(bodies, [(_PERSON, stay.index) for stay in stays])
        found = self._detector.detect(bodies, walkers, len(frames), rng)
        worn = self._wardrobe.seen(self.index, bodies, walkers, found, stays, looks)
        shapes: Sequence[bytes | None] = [None] * len(found)
        if self.world.scenario.embeds_bodies:
            shapes = self._bodies.seen(self.index, bodies, walkers, found, stays, pictures)
        objects = _objects(len(frames), found, "person", worn, shapes)
        faces: list[tuple[FaceBox, ...]] = [()] * len(frames)
        shown: list[tuple[tuple[str, float], ...]] = [()] * len(frames)
        if view.reads_faces:
            faces, shown = self._faces(len(frames), bodies, stays, heights, rng)
        names = [stay.person.person_id for stay in stays]
        truth = self._truth(frames, bodies, names, "persons", shown) if self.with_truth else []
        return Segment(self._arrivals(frames, objects, faces, rng), truth)

    def _walkers(self, bodies: Bodies, subjects: list[tuple[int, int]]) -> Walkers:
        """Return who is seen, with draws that stay the same while a subject is in this view."""
        seed = self.world.scenario.seed
        streams = (stream(seed, Part.LUCK, self.index, *subject) for subject in subjects)
        steady = np.array([own.standard_normal(STEADY) for own in streams]).reshape(-1, STEADY)
        return Walkers(bodies.who, steady, self.camera.view.fps)

    def _faces(
        self,
        count: int,
        bodies: Bodies,
        stays: list[Stay],
        heights: Array,
        rng: np.random.Generator,
    ) -> tuple[list[tuple[FaceBox, ...]], list[tuple[tuple[str, float], ...]]]:
        """Return the faces of each frame, and person and size of the usable ones."""
        heads = heads_in_view(self.camera, bodies, heights[bodies.who], rng)
        shown = [(stays[who], self.index) for who in bodies.who[heads.row].tolist()]
        blur = heads.blur * self.world.scenario.sensing.blur
        seen = self.faces.observe(shown, heads.size_px, blur, rng)
        kept = np.flatnonzero(seen.found).tolist()
        self._refuse_small(seen)
        boxes = [_face_box(heads, seen, i) for i in kept]
        usable = [i for i in kept if not seen.reason[i]]
        usable_faces = [
            (shown[i][0].person.person_id, round(float(heads.size_px[i]), 1)) for i in usable
        ]
        frame = bodies.frame[heads.row]
        return _by_frame(count, frame[kept], boxes), _by_frame(count, frame[usable], usable_faces)

    def _refuse_small(self, seen: Observed) -> None:
        """Refuse faces that are smaller than the site file asks for, as a worker would."""
        size_px = seen.measures[:, MEASURES.index("size_px")].round(1)
        for row in np.flatnonzero(size_px < self.camera.view.min_face_px).tolist():
            seen.reason[row] = "too_small"

    # --- vehicles -----------------------------------------------------------------------------

    def _vehicles(self, frames: _Frames, rng: np.random.Generator) -> Segment:
        drives = self._drives.during(frames)
        bodies = cars_in_view(self.camera, frames.t, drives)
        walkers = self._walkers(bodies, [(_CAR, drive.party) for drive in drives])
        found = self._detector.detect(bodies, walkers, len(frames), rng)
        none_known = [None] * len(found)
        plates: Sequence[PlateReading | None] = [None] * len(found)
        if self.plate_key is not None:
            reader = PlateCamera(self.world.scenario.seed, self.index, self.plate_key)
            luck = stream(self.world.scenario.seed, Part.PLATES, self.index, frames.seq[0])
            plates = reader.seen(found, bodies.who, drives, luck)
        objects = _objects(len(frames), found, "car", none_known, none_known, plates)
        names = [drive.vehicle_id for drive in drives]
        none: list[tuple[FaceBox, ...]] = [()] * len(frames)
        shown: list[tuple[tuple[str, float], ...]] = [()] * len(frames)
        truth = self._truth(frames, bodies, names, "vehicles", shown) if self.with_truth else []
        return Segment(self._arrivals(frames, objects, none, rng), truth)

    # --- both ---------------------------------------------------------------------------------

    def _arrivals(
        self,
        frames: _Frames,
        objects: list[tuple[ObjectBox, ...]],
        faces: list[tuple[FaceBox, ...]],
        rng: np.random.Generator,
    ) -> list[Arrival]:
        view, site_id = self.camera.view, self.world.plan.site_id
        delays = self._delays(len(frames), rng)
        start_us = microseconds(self.world.scenario.started_at)
        due = np.rint((frames.t + delays) * 1e6).astype(np.int64) + start_us
        camera_id, models = view.camera_id, self.models
        if self.world.scenario.embeds_bodies:
            models = {**models, BODY_TASK: MODEL}
        arrivals = []
        for number, (seq, captured_at, at_us) in enumerate(
            zip(frames.seq, frames.captured_at, due.tolist(), strict=True)
        ):
            event = DetectionEvent(
                event_id=EventId(derive_id("det", site_id, camera_id, captured_at, seq)),
                site_id=site_id,
                camera_id=camera_id,
                captured_at=captured_at,
                frame_seq=seq,
                frame_width=view.width,
                frame_height=view.height,
                objects=objects[number],
                faces=faces[number],
                models=models,
            )
            arrivals.append(Arrival(at_us, self.index, seq, camera_id, encode(event)))
        return arrivals

    def _delays(self, count: int, rng: np.random.Generator) -> Array:
        sensing = self.world.scenario.sensing
        usual = sensing.latency_s * np.exp(rng.normal(0, _LATENCY_SIGMA, count))
        extra = rng.exponential(sensing.late_mean_s, count)
        late = rng.random(count) < sensing.late_share * sensing.delays
        return np.asarray(np.minimum(usual + late * extra, sensing.max_delay_s))

    def _truth(
        self,
        frames: _Frames,
        bodies: Bodies,
        names: list[str],
        kind: str,
        faces: list[tuple[tuple[str, float], ...]],
    ) -> list[tuple[int, int, bytes]]:
        boxes = bodies.xyxy.round(1).tolist()
        visible = bodies.visible.round(2).tolist()
        seen: list[Seen] = [
            (names[who], x1, y1, x2, y2, share)
            for who, (x1, y1, x2, y2), share in zip(
                bodies.who.tolist(), boxes, visible, strict=True
            )
        ]
        camera_id = self.camera.view.camera_id
        lines = []
        for number, rows in enumerate(_by_frame(len(frames), bodies.frame, seen)):
            if rows:
                at, seq = frames.captured_at[number], frames.seq[number]
                line = FrameTruth(
                    camera_id=camera_id,
                    seq=seq,
                    captured_at=at,
                    faces=faces[number],
                    **{kind: rows},
                )
                lines.append((microseconds(at), self.index, _truth_encoder.encode(line)))
        return lines


def _by_frame(count: int, frame: Rows, items: list[Item]) -> list[tuple[Item, ...]]:
    """Return the items of each frame; ``frame`` is sorted."""
    edges = np.searchsorted(frame, np.arange(count + 1)).tolist()
    return [tuple(items[a:b]) for a, b in itertools.pairwise(edges)]


def _objects(
    count: int,
    found: Found,
    label: str,
    looks: Sequence[bytes | None],
    shapes: Sequence[bytes | None],
    plates: Sequence[PlateReading | None] = (),
) -> list[tuple[ObjectBox, ...]]:
    """Return the objects of each frame, best first."""
    order = np.lexsort((-found.score, found.frame))
    boxes = [
        ObjectBox(
            *(label, mark, _box(corners), looks[row], shapes[row]),
            plates[row] if plates else None,
        )
        for row, mark, corners in zip(
            order.tolist(),
            found.score[order].round(3).tolist(),
            found.xyxy[order].round(1).tolist(),
            strict=True,
        )
    ]
    return _by_frame(count, found.frame[order], boxes)


def _face_box(heads: Heads, seen: Observed, row: int) -> FaceBox:
    """Return a face as a worker reports it, at its place in the picture."""
    told = dict(zip(MEASURES, seen.measures[row].tolist(), strict=True))
    center, size = heads.center[row], told["size_px"]
    reason = seen.reason[row]
    return FaceBox(
        score=round(told["score"], 3),
        box=_box((np.tile(center, 2) + seen.box[row] * size).round(1).tolist()),
        landmarks=_points((center + seen.points[row] * size).round(1).tolist()),
        quality=FaceQuality(
            round(told["total"], 3),
            round(size, 1),
            round(told["sharpness"], 3),
            round(told["frontality"], 3),
            round(told["exposure"], 3),
        ),
        embedding=None if reason else seen.embedding[row].tobytes(),
        unusable=reason or None,
        norm=None if reason else round(told["norm"], 2),
    )


def _box(corners: list[float]) -> Box:
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2


def _points(points: list[list[float]]) -> tuple[Point, Point, Point, Point, Point]:
    a, b, c, d, e = ((x, y) for x, y in points)
    return a, b, c, d, e
