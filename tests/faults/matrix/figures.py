"""The sums of one row: what was put in against what came out."""

from collections import Counter
from dataclasses import dataclass

from tests.faults.matrix.bench import Bench
from tests.faults.matrix.expectation import Expectation, Insights
from tests.faults.matrix.ledger import Ledger

from trinetra.events.schema import (
    DetectionEvent,
    IdentityEvent,
    LineCrossing,
    Occupancy,
    TracksEvent,
    Visit,
    ZoneStay,
)
from trinetra.values import CameraId, derive_id


@dataclass(frozen=True, slots=True)
class Figures:
    """What one row came to.

    ``frames`` were acknowledged by the buffer to whoever appended them; those ``dropped`` gave way
    to newer ones there, ``stale`` ones were skipped by a worker, ``flushed`` ones were in the
    buffer when its server lost all it had; ``lost`` are all others without a detection event.
    ``detections`` were acknowledged by the log. ``tracked`` counts the frames that a resolver told
    of; those that came too late for their order are ``late``, which a resolver counts, as when a
    worker stood still with them. ``tracks`` are those that an undisturbed run has; ``broken`` are
    missing or different.
    """

    frames: int
    frames_dropped: int
    frames_stale: int
    frames_flushed: int
    frames_lost: int
    frames_repeated: int
    detections: int
    detections_lost: int
    tracked: int
    tracked_late: int
    tracked_lost: int
    tracked_doubled: int
    tracks: int
    tracks_broken: int
    identities: int
    identities_lost: int
    identities_doubled: int
    insights: int
    insights_lost: int
    insights_doubled: int

    @property
    def is_complete(self) -> bool:
        """Whether everything came out."""
        missing = (self.frames_lost, self.detections_lost, self.tracked_lost, self.tracks_broken)
        return not any((*missing, self.identities_lost, self.insights_lost))

    @property
    def faults(self) -> tuple[str, ...]:
        """The promises that were not kept."""
        promises = (
            *("frames_lost", "detections_lost", "tracked_lost", "tracked_doubled"),
            *("tracks_broken", "identities_lost", "identities_doubled"),
            *("insights_lost", "insights_doubled"),
        )
        return tuple(f"{name} = {getattr(self, name)}" for name in promises if getattr(self, name))


def add_up(
    bench: Bench, wanted: Expectation, insights: Insights, *, stale: int, late: int
) -> Figures:
    """Compare the log with what went in and with what an undisturbed process makes of it."""
    ledger, cameras = bench.ledger, bench.frame_cameras
    detections, tracked = ledger.ids(DetectionEvent), ledger.ids(TracksEvent)
    of_frames = _frame_ids(ledger, cameras)
    tracks = _tracks(ledger, cameras)
    decided = {seen.event.track_id for seen in ledger.of(IdentityEvent)}
    identities = ledger.ids(IdentityEvent)
    told = ledger.ids(LineCrossing, ZoneStay, Visit)
    appended, dropped = bench.frames.appended, bench.frames.dropped
    missing = appended - dropped - stale - len(of_frames)
    flushed = min(max(0, missing), bench.buffered)
    untold = len({derive_id("trs", d) for d in detections} - tracked.keys())
    return Figures(
        frames=appended,
        frames_dropped=dropped,
        frames_stale=stale,
        frames_flushed=flushed,
        frames_lost=max(0, missing - flushed),
        frames_repeated=sum(detections[event_id] - 1 for event_id in of_frames),
        detections=len(bench.detections.acknowledged),
        detections_lost=len(bench.detections.acknowledged.keys() - detections.keys()),
        tracked=len(tracked),
        tracked_late=min(untold, late),
        tracked_lost=max(0, untold - late),
        tracked_doubled=tracked.total() - len(tracked),
        tracks=len(wanted.tracks),
        tracks_broken=len(wanted.tracks ^ tracks),
        identities=len(wanted.people),
        identities_lost=len(wanted.people - decided),
        identities_doubled=identities.total() - len(identities),
        insights=len(insights.ids),
        insights_lost=len(insights.ids - told.keys()),
        insights_doubled=_said_again(ledger, insights),
    )


def _frame_ids(ledger: Ledger, cameras: frozenset[CameraId]) -> set[str]:
    seen = ledger.of(DetectionEvent)
    return {one.event.event_id for one in seen if one.event.camera_id in cameras}


def _said_again(ledger: Ledger, insights: Insights) -> int:
    """Return how many insights there are more often, in the same words, than need be."""
    seen = ledger.of(LineCrossing, ZoneStay, Occupancy, Visit)
    said = Counter(one.payload for one in seen)
    return sum(max(0, n - max(1, insights.payloads[payload])) for payload, n in said.items())


def _tracks(ledger: Ledger, cameras: frozenset[CameraId]) -> set[str]:
    """Return the tracks of the twin's cameras."""
    return {
        track.track_id
        for seen in ledger.of(TracksEvent)
        if isinstance(seen.event, TracksEvent) and seen.event.camera_id not in cameras
        for track in seen.event.tracks
    }
