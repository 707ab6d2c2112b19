"""Associates the detections of a frame with running tracks.

Strong detections come first, weak ones keep tracks alive that no strong one continues (ByteTrack,
Zhang et al., ECCV 2022), and near ones come before far ones. Similarity is the IoU of boxes that
are both widened (C-BIoU, Yang et al., WACV 2023), here by a distance that grows with the time since
the track was seen: one setting then fits 5 and 25 frames per second. Looks add a bounded amount.

A look that is next to impossible rules a pair out. Without that rule, the track of a person who
left goes on with the person who came out from behind, at the same place and the same time.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from trinetra.events.schema import Box
from trinetra.identities.tracking.appearance import body_cosine, difference
from trinetra.identities.tracking.assignment import best_pairs
from trinetra.identities.tracking.boxes import are_disjoint, height, iou, widened
from trinetra.identities.tracking.policy import LookPolicy, TrackerPolicy
from trinetra.identities.tracking.tracks import DetectionBatch, Track, group_of, is_paused
from trinetra.values import Instant

_LEAST_GAIN = 1e-3
"""Gain of a pair whose place fits, but whose look does not: better than no pair at all."""
_RULED_OUT = -2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to associate: predicted tracks, detections, and what the camera has learned."""

    tracks: Sequence[Track]
    batch: DetectionBatch
    strong: Collection[int]
    captured_at: Instant
    policy: TrackerPolicy
    stripes_unit: float = 1.0

    def free(self, pairs: dict[int, int]) -> set[int]:
        """Return the strong detections that no pair has taken."""
        return set(self.strong).difference(pairs.values())


def associate(frame: Frame) -> dict[int, int]:
    """Return track index -> detection index, by a cascade of assignments."""
    policy, at = frame.policy, frame.captured_at
    running = [i for i, t in enumerate(frame.tracks) if not is_paused(t, at, policy)]
    recent = [
        i
        for i in running
        if frame.tracks[i].confirmed and frame.tracks[i].unseen_s(at) <= policy.weak_gap_s
    ]
    # Weak detections are often occluded people, or no people at all: they only continue tracks that
    # no strong detection nearby continues, and never far ones.
    weak = set(range(len(frame.batch.boxes))).difference(frame.strong)
    # A box that is only estimated from a face has no looks: far away it is mostly another person.
    whole = set(frame.strong).difference(frame.batch.face_only)
    pairs: dict[int, int] = {}
    for rows, columns, growth, least in (
        (running, frame.strong, policy.near, policy.least_near),
        (recent, weak, policy.near, policy.least_weak),
        (running, whole, policy.far, policy.least_far),
    ):
        left = [i for i in rows if i not in pairs]
        free = set(columns).difference(pairs.values())
        if left and free:
            pairs |= best_pairs(dict(gains(frame, left, free, growth, least)))
    return pairs


def gains(
    frame: Frame,
    rows: Sequence[int],
    columns: Collection[int],
    growth: tuple[float, float],
    least: float,
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield the gain of each pair of one class group that is near enough and not ruled out."""
    batch, policy = frame.batch, frame.policy
    groups = {d: group_of(batch.labels[d]) for d in columns}
    for i in rows:
        track, box = frame.tracks[i], frame.tracks[i].xyxy
        group, unseen_s = group_of(track.label), track.unseen_s(frame.captured_at)
        heights = min(growth[0] + growth[1] * unseen_s, policy.widest)
        margin_px = heights * height(box)
        wide = widened(box, margin_px)
        for d, its_group in groups.items():
            overlap = _overlap(wide, batch.boxes[d], margin_px) if its_group == group else 0.0
            if overlap < least:
                continue
            agreement = _agreement(frame, track, d, is_lost=unseen_s > policy.looks.lost_after_s)
            if agreement > _RULED_OUT:
                loss = policy.lost_penalty_per_s * unseen_s
                yield (i, d), max(overlap + agreement - loss, _LEAST_GAIN)


def _overlap(wide: Box, box: Box, margin_px: float) -> float:
    also_wide = widened(box, margin_px)
    return 0.0 if are_disjoint(wide, also_wide) else iou(wide, also_wide)


def _agreement(frame: Frame, track: Track, detection: int, *, is_lost: bool) -> float:
    """Return what the looks of a pair add to its overlap; ``_RULED_OUT`` if they are impossible.

    The most telling cue decides alone: a face, else a body, else the stripes of the clothing.
    """
    looks, batch = frame.policy.looks, frame.batch
    cosine = batch.face_similarity.get((track.track_id, detection))
    if cosine is not None and cosine < looks.stranger_cosine:
        return _RULED_OUT
    if cosine is not None and cosine >= looks.same_cosine:
        return looks.face_weight
    body = body_cosine(track.body, batch.body(detection))
    if body is not None:
        return _from_body(body, looks, is_lost=is_lost)
    differs = difference(track.look, batch.look(detection))
    if differs is None:
        return 0.0
    return _from_stripes(differs / frame.stripes_unit, looks, is_lost=is_lost)


def _from_body(cosine: float, looks: LookPolicy, *, is_lost: bool) -> float:
    if cosine < (looks.lost_other_body if is_lost else looks.other_body):
        return _RULED_OUT
    return looks.body_weight * _bounded((cosine - looks.body_neutral) / looks.body_span)


def _from_stripes(units: float, looks: LookPolicy, *, is_lost: bool) -> float:
    if units > (looks.lost_other_stripes if is_lost else looks.other_stripes):
        return _RULED_OUT
    return looks.stripes_weight * _bounded(1.0 - units / looks.stripes_neutral)


def _bounded(value: float) -> float:
    return max(-1.0, min(value, 1.0))
