"""Limits of the tracker; chosen on labeled footage, leaving one scene out (docs/accuracy.md)."""

from dataclasses import dataclass, field, replace

from trinetra.identities.tracking.kalman import MotionNoise

_MAX_GAP_INTERVALS = 2.5
"""Longest gap in a track, in frame intervals: one missed frame, and the jitter of capture times."""


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """Weights and limits of what a person looks like: face, body embedding and clothing stripes.

    A cue adds up to its weight to the overlap of a pair, or takes as much from it: it decides
    between competitors for one place. Only a look that is next to impossible for the same person
    rules a pair out: a face below ``stranger_cosine``, a body below ``other_body``, stripes that
    differ by more than ``other_stripes`` of the camera's own unit. The place of a lost track means
    less, so its limits are stricter. The shares are the weights of a new look.
    """

    stranger_cosine: float = 0.3
    same_cosine: float = 0.5
    face_weight: float = 0.3
    body_weight: float = 0.5
    body_neutral: float = 0.5
    body_span: float = 0.25
    other_body: float = 0.25
    lost_other_body: float = 0.3
    stripes_weight: float = 0.2
    stripes_neutral: float = 3.0
    other_stripes: float = 16.0
    lost_other_stripes: float = 10.0
    lost_after_s: float = 0.3
    share: float = 0.15
    stripes_share: float = 0.25


@dataclass(frozen=True, slots=True)
class ReturnPolicy:
    """When a track that paused is resumed by a person who appears nearby.

    It needs ``least_hits`` detections, a pause of at most ``max_pause_s``, a distance within reach,
    which grows with the pause but never spans a whole view, and an unambiguous look: a body of at
    least ``same_body`` that leads all competing pairs by ``body_margin``; without bodies, stripes
    that differ by at most ``same_stripes`` units, where those of all competing pairs differ by more
    than ``other_stripes``.
    """

    max_pause_s: float = 10.0
    least_hits: int = 5
    reach_heights: float = 1.0
    reach_heights_per_s: float = 0.3
    widest_reach_heights: float = 2.5
    same_body: float = 0.6
    body_margin: float = 0.25
    same_stripes: float = 0.7
    other_stripes: float = 1.5
    stood_overlap: float = 0.4


@dataclass(frozen=True, slots=True)
class TrackerPolicy:
    """Limits for starting, matching and ending tracks; scores in 0..1, lengths in box heights.

    Scores are on the scale that all detectors share (``detections.detector.common_score``). A
    detection below its birth score starts no track but keeps one alive. Vehicles have a lower birth
    score: seen from above they score low, and little on a road is mistaken for them.

    Boxes are widened before they are compared by ``near`` or ``far`` heights, each a constant and a
    growth per second since the track was seen: how far a person may be from the prediction.
    ``steady`` is the share of strong detections above which a track's weak ones are published.
    """

    birth_score: float = 0.54
    vehicle_birth_score: float = 0.34
    confirm_hits: int = 2
    max_gap_s: float = 2.0
    weak_gap_s: float = 1.0
    tentative_gap_s: float = 0.7
    near: tuple[float, float] = (0.05, 0.5)
    far: tuple[float, float] = (0.2, 1.0)
    widest: float = 1.0
    least_near: float = 0.1
    least_far: float = 0.15
    least_weak: float = 0.5
    lost_penalty_per_s: float = 0.05
    coast_s: float = 1.0
    doubles_at: float = 0.85
    steady: float = 0.4
    noise: MotionNoise = field(default_factory=MotionNoise)
    looks: LookPolicy = field(default_factory=LookPolicy)
    returns: ReturnPolicy = field(default_factory=ReturnPolicy)

    def at_interval(self, interval_s: float) -> "TrackerPolicy":
        """Return the policy for a camera with a frame every ``interval_s``.

        However rare the frames, a track must not end because one of them missed it.
        """
        gap_s = _MAX_GAP_INTERVALS * interval_s
        if gap_s <= self.looks.lost_after_s:
            return self
        return replace(
            self,
            max_gap_s=max(gap_s, self.max_gap_s),
            weak_gap_s=max(gap_s, self.weak_gap_s),
            looks=replace(self.looks, lost_after_s=max(gap_s, self.looks.lost_after_s)),
        )
