"""Which rules apply to a site, where, and from which values on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trinetra.events.alerts import NoticeKey, RuleName, Severity
from trinetra.opening_hours import OpeningHours
from trinetra.values import CameraId, Instant, after

Place = tuple[CameraId, str]
"""A zone or a line of a camera."""
SITE = "site"
"""The subject of rules about the whole shop."""
_OF_CAMERAS: frozenset[RuleName] = frozenset(
    {
        "after_hours",
        "camera_offline",
        "camera_frozen",
        "camera_covered",
        "camera_moved",
        "frames_dropped",
    }
)


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One rule. ``limit`` is in the unit of the rule: people, seconds, or a share.

    A condition must hold for ``for_s`` before it is told. ``cooldown_s`` is the shortest time
    between two notices about one subject.
    """

    severity: Severity
    cooldown_s: float = 300.0
    limit: float = 0.0
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """The rules in force; a rule that is switched off is not in ``rules``.

    ``queues`` are the zones in which people queue, ``crowded`` has the limits of other zones;
    ``tailgating`` and ``one_way`` are lines, the latter with the direction that is not allowed.
    ``cameras`` are all cameras, ``live`` those that never end by themselves.
    """

    rules: Mapping[RuleName, RulePlan]
    queues: frozenset[Place] = frozenset()
    crowded: Mapping[Place, int] = field(default_factory=dict)
    tailgating: frozenset[Place] = frozenset()
    one_way: Mapping[Place, str] = field(default_factory=dict)
    cameras: frozenset[CameraId] = frozenset()
    live: frozenset[CameraId] = frozenset()
    hours: OpeningHours | None = None
    grace_s: float = 1800.0

    def concerns(self, key: NoticeKey) -> bool:
        """Return whether a rule in force is about this subject, of lasting conditions."""
        camera, _, zone = key.subject.partition("/")
        place = CameraId(camera), zone
        if key.rule not in self.rules:
            return False
        if key.rule == "queue_length":
            return place in self.queues
        if key.rule == "occupancy":
            return key.subject == SITE or place in self.crowded
        return key.rule not in _OF_CAMERAS or camera in self.cameras

    def is_after_hours(self, at: Instant) -> bool:
        """Return whether the shop is closed, and has been and will be for the grace time."""
        if self.hours is None:
            return False
        return not self.hours.open_spans(after(at, -self.grace_s), after(at, self.grace_s))
