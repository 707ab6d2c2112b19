"""Track stitching: joins the tracks of one person or vehicle into a body.

A tracker loses people: behind a shelf, behind each other, at a missed detection. A body is one
person or vehicle for as long as the camera can follow it. A new track continues a body if it
appears within ``bridge_s`` and ``bridge_boxes`` of where that body vanished and has the same label;
if it is known to be the same customer, at any distance. Two tracks in one frame are two bodies, and
so are two tracks of different customers. If that becomes known only later, the later track is split
off; if two bodies turn out to be one customer, they are merged.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from trinetra.insights.camera.scene import Scene
from trinetra.insights.config import InsightPolicy
from trinetra.values import (
    CustomerId,
    IdentityKind,
    Instant,
    TrackId,
    longest,
    seconds_between,
)


class Name(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a track."""

    customer_id: CustomerId
    kind: IdentityKind


class Span(msgspec.Struct, array_like=True):
    """One track's part in a body."""

    track_id: TrackId
    first_at: Instant
    last_at: Instant
    name: Name | None = None


class Body(msgspec.Struct, array_like=True):
    """One person or vehicle; ``body_id`` is its first track, ``spans`` its tracks in order.

    ``foot`` and ``height`` are those of the last sighting, in frame heights.
    """

    body_id: TrackId
    label: str
    spans: list[Span]
    foot: tuple[float, float]
    height: float

    @property
    def last_at(self) -> Instant:
        """The latest time at which one of the body's tracks was seen."""
        if len(self.spans) == 1:
            return self.spans[0].last_at  # fast path: most bodies, at every frame
        return max(span.last_at for span in self.spans)

    @property
    def name(self) -> Name | None:
        """The identity of the body: that of its most recent identified track."""
        for span in reversed(self.spans):
            if span.name:
                return span.name
        return None

    def span(self, track_id: TrackId) -> Span:
        """Return one track's part."""
        for span in self.spans:  # a loop, at every frame: most bodies have one span
            if span.track_id == track_id:
                return span
        raise KeyError(track_id)


@dataclass(frozen=True, slots=True)
class Split:
    """A track was wrongly joined to ``body`` at ``joined_at`` and is now ``new_body``.

    ``left_at`` is when the remaining body was last seen before that.
    """

    body: Body
    new_body: Body
    left_at: Instant
    joined_at: Instant


@dataclass(frozen=True, slots=True)
class Merge:
    """Body ``gone`` was found to continue ``body`` and was merged into it."""

    body: Body
    gone: Body


Revision = Split | Merge


@dataclass(slots=True)
class TrackStitcher:
    """Tracks the bodies of one camera; all times are captured time."""

    policy: InsightPolicy
    bodies: dict[TrackId, Body] = field(default_factory=dict)
    early: dict[TrackId, tuple[Name | None, Instant]] = field(default_factory=dict)
    _of_track: dict[TrackId, Body] = field(default_factory=dict)

    def resume(
        self, bodies: Iterable[Body], early: dict[TrackId, tuple[Name | None, Instant]]
    ) -> None:
        """Restore the bodies from a snapshot."""
        self.early = early
        self.bodies = {body.body_id: body for body in bodies}
        self._of_track = {
            span.track_id: body for body in self.bodies.values() for span in body.spans
        }

    def step(self, scene: Scene) -> tuple[list[Body], list[Split]]:
        """Return the body of each row of the scene, and the splits that the scene reveals."""
        splits = self._separate(scene)
        here = {id(self._of_track[t]) for t in scene.track_ids if t in self._of_track}
        found = [self._follow(scene, row, here) for row in range(len(scene.track_ids))]
        self._forget(scene.at)
        return found, splits

    def in_view(self, now: Instant) -> frozenset[TrackId]:
        """Return the ids of bodies that were seen within ``bridge_s``."""
        oldest = now - longest(self.policy.bridge_s)
        return frozenset(
            [body_id for body_id, body in self.bodies.items() if body.last_at >= oldest]
        )

    def body_of(self, track_id: TrackId) -> Body | None:
        """Return the body of a track, or None if it is unknown or was dropped."""
        return self._of_track.get(track_id)

    def knows(self, track_id: TrackId) -> bool:
        """Return whether a track, or a decision about it, is remembered."""
        return track_id in self._of_track or track_id in self.early

    def name_of(self, track_id: TrackId) -> Name | None:
        """Return the identity of a track itself or, if it has none, of the body it continues."""
        body = self._of_track.get(track_id)
        return self.own_name(track_id) or (body.name if body else None)

    def own_name(self, track_id: TrackId) -> Name | None:
        """Return the identity of a track itself, regardless of the body it continues."""
        body = self._of_track.get(track_id)
        return body.span(track_id).name if body else self.early.get(track_id, (None,))[0]

    def staff(self) -> frozenset[TrackId]:
        """Return the ids of bodies identified as staff."""
        named = [(body_id, body.name) for body_id, body in self.bodies.items()]
        return frozenset([b for b, name in named if name and name.kind is IdentityKind.STAFF])

    def present(self, label: str, now: Instant, but: frozenset[TrackId] = frozenset()) -> int:
        """Return the number of bodies of a label in view, including briefly unseen ones."""
        oldest = now - longest(self.policy.occupancy_hold_s)
        return sum(
            [
                body.label == label and body.body_id not in but and body.last_at >= oldest
                for body in self.bodies.values()
            ]
        )

    def identify(self, track_id: TrackId, name: Name | None, at: Instant) -> list[Revision]:
        """Set the identity of a track (None: unknown); return the revisions that follow.

        A decision that arrives before the track's first position is kept for it.
        """
        body = self._of_track.get(track_id)
        if body is None:
            self.early[track_id] = (name, at)
            self._forget_early(at)
            return []
        body.span(track_id).name = name
        # One body may hold tracks of several customers by now, so it is split until none is left.
        splits: list[Revision] = []
        while intruder := _other_customer(body):
            splits.append(self._split_off(body, intruder))
        return splits or self._merge_with_earlier(self._of_track[track_id])

    def forget(self, is_erased: Callable[[CustomerId], bool]) -> bool:
        """Remove the identities of erased customers; return whether there were any."""
        spans = [span for body in self.bodies.values() for span in body.spans]
        named = [s for s in spans if s.name and is_erased(s.name.customer_id)]
        for span in named:
            span.name = None
        early = [t for t, (name, _) in self.early.items() if name and is_erased(name.customer_id)]
        for track_id in early:
            del self.early[track_id]
        return bool(named or early)

    def _separate(self, scene: Scene) -> list[Split]:
        """Split off tracks that appear in one frame together with an earlier track of their body.

        The gap between the two was no track break then: both people were there.
        """
        splits = []
        present = set(scene.track_ids)
        for body in [body for body in self.bodies.values() if len(body.spans) > 1]:
            together = [span for span in body.spans if span.track_id in present]
            splits += [self._split_off(body, span) for span in together[1:]]
        return splits

    def _follow(self, scene: Scene, row: int, here: set[int]) -> Body:
        track_id = scene.track_ids[row]
        body = self._of_track.get(track_id)
        if body is None:
            name, _ = self.early.pop(track_id, (None, None))
            span = Span(track_id, scene.at, scene.at, name)
            body = self._continued(scene, row, span, here) or self._started(scene, row, span)
            self._of_track[track_id] = body
            here.add(id(body))
        body.span(track_id).last_at = scene.at
        body.foot, body.height = _position(scene, row), scene.height[row]
        return body

    def _started(self, scene: Scene, row: int, span: Span) -> Body:
        body = Body(span.track_id, scene.labels[row], [span], _position(scene, row), 0.0)
        self.bodies[body.body_id] = body
        return body

    def _continued(self, scene: Scene, row: int, span: Span, here: set[int]) -> Body | None:
        """Return the nearest vanished body that this new track continues, if there is one."""
        best, best_distance = None, np.inf
        for body in self.bodies.values():
            if id(body) in here or body.label != scene.labels[row]:
                continue
            if seconds_between(body.last_at, scene.at) > self.policy.bridge_s:
                continue
            distance = self._distance(scene, row, body, span.name)
            if distance < best_distance:
                best, best_distance = body, distance
        if best:
            best.spans.append(span)
        return best

    def _distance(self, scene: Scene, row: int, body: Body, name: Name | None) -> float:
        """Return the distance in box heights; infinite for another customer or if too far."""
        # Identity outranks position: a recognized customer may reappear anywhere in the view.
        if name and body.name:
            return 0.0 if _same(name, body.name) else np.inf
        step = np.hypot(*np.subtract(_position(scene, row), body.foot))
        boxes = float(step / max(scene.height[row], body.height, 1e-6))
        return boxes if boxes <= self.policy.bridge_boxes else np.inf

    def _split_off(self, body: Body, span: Span) -> Split:
        body.spans.remove(span)
        left_at = max(s.last_at for s in body.spans if s.first_at <= span.first_at)
        new_body = msgspec.structs.replace(body, body_id=span.track_id, spans=[span])
        self.bodies[new_body.body_id] = self._of_track[span.track_id] = new_body
        return Split(body, new_body, left_at, span.first_at)

    def _merge_with_earlier(self, body: Body) -> list[Revision]:
        """Merge the body into one of the same customer that vanished just before it appeared."""
        started_at = body.spans[0].first_at
        for earlier in self.bodies.values():
            gap_s = seconds_between(earlier.last_at, started_at)
            if (
                earlier is not body
                and earlier.label == body.label
                and _same(earlier.name, body.name)
                and 0 < gap_s <= self.policy.bridge_s
            ):
                earlier.spans += body.spans
                earlier.foot, earlier.height = body.foot, body.height
                self._of_track.update({span.track_id: earlier for span in body.spans})
                del self.bodies[body.body_id]
                return [Merge(earlier, body)]
        return []

    def _forget(self, now: Instant) -> None:
        """Drop bodies, and later tracks of a body, that were not seen for ``forget_after_s``.

        The first track of a body is kept as long as the body: its id is the body's id.
        """
        oldest = now - longest(self.policy.forget_after_s)
        for body in list(self.bodies.values()):
            if body.last_at < oldest:
                for span in body.spans:
                    del self._of_track[span.track_id]
                del self.bodies[body.body_id]
                continue
            for span in body.spans[1:]:
                if span.last_at < oldest:
                    self._drop(body, span)
        self._forget_early(now)

    def _forget_early(self, now: Instant) -> None:
        oldest = now - longest(self.policy.forget_after_s)
        for track_id in [t for t, (_, at) in self.early.items() if at < oldest]:
            del self.early[track_id]

    def _drop(self, body: Body, span: Span) -> None:
        unnamed = next((other for other in body.spans if other.name is None), None)
        if span.name and unnamed:
            unnamed.name = span.name  # the body keeps its identity after that track is dropped
        body.spans.remove(span)
        del self._of_track[span.track_id]


def _position(scene: Scene, row: int) -> tuple[float, float]:
    """Return a foot point in frame heights, so that distances are equal in both directions."""
    x, y = scene.feet[row]
    return x * scene.aspect, y


def _other_customer(body: Body) -> Span | None:
    """Return the first track identified as another customer than an earlier track, or None."""
    named = [span for span in body.spans if span.name]
    return next((span for span in named if not _same(span.name, named[0].name)), None)


def _same(one: Name | None, two: Name | None) -> bool:
    return bool(one and two and one.customer_id == two.customer_id)
