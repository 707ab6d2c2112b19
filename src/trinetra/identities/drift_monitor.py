"""The resolver's eye on drift: what its faces and matches are worth, as a metric and as alerts."""

from dataclasses import dataclass, field

from trinetra.events.schema import AlertEvent, DetectionEvent
from trinetra.identities.decision.alerts import faces_drift
from trinetra.identities.decision.drift import DriftWatch
from trinetra.telemetry import DRIFT_PSI
from trinetra.values import CameraId, Instant, SiteId, seconds_between


@dataclass(slots=True)
class DriftMonitor:
    """Watches every camera of this process; it starts anew with the process.

    Where the calibration says nothing of a quantity, a camera's own first values after the start
    are what later ones are held against. Of each camera one frame with faces in ``every_s`` counts:
    what one person shows from frame to frame is one finding, not many.
    """

    site_id: SiteId
    watch: DriftWatch = field(default_factory=DriftWatch)
    look_every_s: float = 60.0
    every_s: float = 2.0
    _looked_at: Instant | None = None
    _seen_at: dict[CameraId, Instant] = field(default_factory=dict)

    def see(self, event: DetectionEvent) -> None:
        """Count the faces of a frame that can be recognised."""
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
        """Count the score with which somebody was recognised, on the calibrated 0..1 scale."""
        self.watch.add(camera_id, "score", score)

    def alerts(self, now: Instant) -> list[AlertEvent]:
        """Set the metric; return the alerts for new drifts, at most every ``look_every_s``."""
        if self._looked_at and abs(seconds_between(self._looked_at, now)) < self.look_every_s:
            return []
        self._looked_at = now
        alerts = []
        for found in self.watch.findings():
            DRIFT_PSI.labels(found.camera_id, found.quantity).set(found.psi)
            if found.is_news:
                alerts.append(faces_drift(self.site_id, now, found))
        return alerts
