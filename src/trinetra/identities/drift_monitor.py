"""Drift monitor of the resolver: face and match statistics as a metric and as alerts."""

from dataclasses import dataclass, field

from trinetra.events.schema import AlertEvent, DetectionEvent
from trinetra.identities.decision.alerts import faces_drift
from trinetra.identities.decision.drift import DriftWatch
from trinetra.telemetry import DRIFT_PSI
from trinetra.values import CameraId, Instant, SiteId, seconds_between


@dataclass(slots=True)
class DriftMonitor:
    """Watches every camera of this process; its statistics start over with the process.

    If the calibration has no reference for a quantity, the camera's first values after the start
    become its reference. One frame with faces per camera and ``every_s`` counts: consecutive faces
    of one person are not independent samples.
    """

    site_id: SiteId
    watch: DriftWatch = field(default_factory=DriftWatch)
    look_every_s: float = 60.0
    every_s: float = 2.0
    _looked_at: Instant | None = None
    _seen_at: dict[CameraId, Instant] = field(default_factory=dict)

    def see(self, event: DetectionEvent) -> None:
        """Count the recognizable faces of a frame."""
        faces = [face for face in event.faces if face.embedding is not None]
        before = self._seen_at.get(event.camera_id)
        if not faces or (before and 0 <= seconds_between(before, event.captured_at) < self.every_s):
            return
        self._seen_at[event.camera_id] = event.captured_at
        for face in faces:
            self.watch.add(event.camera_id, "quality", face.quality.total)
            if face.norm is not None:
                self.watch.add(event.camera_id, "norm", face.norm)

    def match(self, camera_id: CameraId, score: float) -> None:
        """Count the score of a match, on the calibrated 0..1 scale."""
        self.watch.add(camera_id, "score", score)

    def alerts(self, now: Instant) -> list[AlertEvent]:
        """Update the metric and return alerts for new drift, at most every ``look_every_s``."""
        if self._looked_at and abs(seconds_between(self._looked_at, now)) < self.look_every_s:
            return []
        self._looked_at = now
        alerts = []
        for found in self.watch.findings():
            DRIFT_PSI.labels(found.camera_id, found.quantity).set(found.psi)
            if found.is_news:
                alerts.append(faces_drift(self.site_id, now, found))
        return alerts
