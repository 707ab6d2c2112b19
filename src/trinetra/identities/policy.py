"""Policy of the identity resolver: tracking, reordering, expiry and the end of silent tracks."""

from dataclasses import dataclass, field

from trinetra.identities.tracking.policy import TrackerPolicy


@dataclass(frozen=True, slots=True)
class ResolverPolicy:
    """How much is read at once, how long order is waited for, how often things expire.

    When nothing came from a camera for ``unseen_after_s``, its consumers are told, so that no
    figure of it stands as if it were current. That is long enough for a camera to be connected
    anew a few times, and its tracks stay open, because an outage of the workers looks the same and
    its frames may still come. They end after ``silent_after_s``: what is known of their faces must
    not stay for as long as a camera is unplugged. ``ends_tracks_at_stop`` is for a
    process that no other one continues: it reads the log to its end, ends every track and writes no
    state. Otherwise a stop leaves open tracks to the next owner of their partition.
    """

    tracker: TrackerPolicy = field(default_factory=TrackerPolicy)
    poll_records: int = 256
    poll_wait_s: float = 0.5
    reorder_pending: int = 16
    reorder_span_s: float = 1.0
    expire_every_s: float = 600.0
    unseen_after_s: float = 30.0
    silent_after_s: float = 600.0
    ends_tracks_at_stop: bool = True

    @property
    def window(self) -> tuple[int, float]:
        """How many events of a camera may wait for order, and over how many seconds."""
        return self.reorder_pending, self.reorder_span_s
