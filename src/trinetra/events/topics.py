"""The topics of the event log, their partition counts and who writes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A named, partitioned log; records of one key keep their order."""

    name: str
    partitions: int


DETECTIONS = Topic("trinetra.detections", 8)
"""Written by inference workers, keyed by camera_id."""
IDENTITIES = Topic("trinetra.identities", 8)
"""Written by identity resolvers, keyed by camera_id."""
ALERTS = Topic("trinetra.alerts", 8)
"""Written by identity resolvers and the insight engine, keyed by camera_id."""
INSIGHTS = Topic("trinetra.insights", 8)
"""Written by the insight engine, keyed by camera_id."""
DEAD_LETTERS = Topic("trinetra.dead-letters", 1)
"""Records that could not be read, with the reason; written by every consumer."""

ALL = (DETECTIONS, IDENTITIES, ALERTS, INSIGHTS, DEAD_LETTERS)
FRAMES_PREFIX = "frames:"


def frames_stream(camera_id: str) -> str:
    """Return the name of a camera's frame stream, ``frames:{camera_id}``."""
    return f"{FRAMES_PREFIX}{camera_id}"
