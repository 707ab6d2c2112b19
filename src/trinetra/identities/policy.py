"""Policy of the identity resolver: tracking, reordering, expiry and the end of silent tracks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trinetra.events.schema import DetectionEvent
from trinetra.identities.tracking.policy import TrackerPolicy

_DETECT = "detect"
_BIRTH, _VEHICLE_BIRTH = 1.2, 0.75
"""Scores that start a track, as multiples of the detector's threshold (docs/accuracy.md)."""


@dataclass(frozen=True, slots=True)
class ResolverPolicy:
    """How much is read at once, how long order is waited for, how often things expire.

    When nothing came from a camera for ``unseen_after_s``, its consumers are told, so that no
    figure of it stands as if it were current. That is long enough for a camera to be connected
    anew a few times, and its tracks stay open, because an outage of the workers looks the same and
    its frames may still come. They end after ``silent_after_s``: what is known of their faces must
    not stay for as long as a camera is unplugged. ``ends_tracks_at_stop`` is for a
    process that no other one continues: it reads the log to its end, ends every track and writes no
    state. Otherwise a stop leaves open tracks to the next owner of their partition. ``trackers``
    are those for the scores of certain detectors, by version: see ``tracker_of``.
    """

    tracker: TrackerPolicy = field(default_factory=TrackerPolicy)
    trackers: Mapping[str, TrackerPolicy] = field(default_factory=dict)
    poll_records: int = 256
    poll_wait_s: float = 0.5
    reorder_pending: int = 16
    reorder_span_s: float = 1.0
    expire_every_s: float = 600.0
    unseen_after_s: float = 30.0
    silent_after_s: float = 600.0
    ends_tracks_at_stop: bool = True

    def tracker_of(self, event: DetectionEvent) -> TrackerPolicy:
        """Return the tracker's policy for the detector that an event names."""
        return self.trackers.get(event.models.get(_DETECT, ""), self.tracker)

    @property
    def window(self) -> tuple[int, float]:
        """How many events of a camera may wait for order, and over how many seconds."""
        return self.reorder_pending, self.reorder_span_s


def for_detectors(
    policy: TrackerPolicy, score_thresholds: Mapping[str, float]
) -> dict[str, TrackerPolicy]:
    """Return the tracker's policy for each detector, given its score threshold, by version.

    The scores of two networks mean different things: 0.45 is an uncertain person to one, a certain
    one to another.
    """
    return {
        version: replace(
            policy,
            birth_score=min(_BIRTH * threshold, 1.0),
            vehicle_birth_score=_VEHICLE_BIRTH * threshold,
        )
        for version, threshold in score_thresholds.items()
    }
