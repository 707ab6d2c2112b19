"""Builds the resolver's alert events and limits how often they are repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trinetra.events.schema import AlertEvent, GateEvidence
from trinetra.identities.decision.drift import Finding, Quantity
from trinetra.values import (
    EPOCH,
    CameraId,
    CustomerId,
    EventId,
    IdentityKind,
    Instant,
    SiteId,
    TrackId,
    derive_id,
    seconds_between,
)

_ANNOUNCEMENTS: Mapping[IdentityKind, tuple[Literal["info", "critical"], str]] = {
    IdentityKind.VIP: ("info", "a VIP is here"),
    IdentityKind.WATCHLIST: ("critical", "a person on the watchlist is here"),
}
_DRIFTING: Mapping[Quantity, str] = {
    "score": "similarity to known faces",
    "quality": "quality",
    "norm": "embedding norm, a measure of image quality,",
}
_MAX_REMEMBERED = 10_000
"""Announced customers whose cooldown is remembered; the oldest entry is evicted first."""


def impossible_transition(
    site_id: SiteId,
    camera_id: CameraId,
    captured_at: Instant,
    track_id: TrackId,
    gate: GateEvidence,
) -> AlertEvent:
    """Return the alert for a strong match with a person who cannot have walked here in time."""
    elapsed_s, distance_m = gate.elapsed_s or 0.0, gate.distance_m or 0.0
    when = f"{elapsed_s:.1f} s before" if elapsed_s else "at the same time"
    return AlertEvent(
        event_id=EventId(derive_id("alr", track_id, gate.customer_id)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        rule="impossible_transition",
        severity="warning",
        message=(
            f"looks like {gate.customer_id}, who was at {gate.from_camera} {when}, "
            f"{distance_m:.0f} m away: too far to walk in that time"
        ),
        track_id=track_id,
        customer_id=gate.customer_id,
        detail={
            "from_camera": gate.from_camera or "",
            "distance_m": distance_m,
            "elapsed_s": elapsed_s,
            "limit_mps": gate.limit_mps or 0.0,
        },
    )


def gallery_unavailable(site_id: SiteId, camera_id: CameraId, captured_at: Instant) -> AlertEvent:
    """Return the alert that people are reported as unknown while the gallery is unavailable."""
    return AlertEvent(
        event_id=EventId(derive_id("alr", "gallery", camera_id, captured_at)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        rule="gallery_unavailable",
        severity="critical",
        message="the gallery does not answer: people are reported as unknown until it is back",
    )


def faces_drift(site_id: SiteId, captured_at: Instant, found: Finding) -> AlertEvent:
    """Return the alert that a camera's faces have drifted from the calibration data."""
    return AlertEvent(
        event_id=EventId(derive_id("alr", "drift", found.camera_id, found.quantity, captured_at)),
        site_id=site_id,
        camera_id=found.camera_id,
        captured_at=captured_at,
        rule="faces_drift",
        severity="warning",
        message=f"faces have drifted: their {_DRIFTING[found.quantity]} has changed a lot",
        detail={"quantity": found.quantity, "psi": round(found.psi, 3)},
    )


def listed_plate(
    site_id: SiteId, camera_id: CameraId, captured_at: Instant, track_id: TrackId, entry: str
) -> AlertEvent:
    """Return the alert for a vehicle whose plate matches an entry of the site's watchlist."""
    return AlertEvent(
        event_id=EventId(derive_id("alr", "plate", track_id, entry)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        rule="plate_watchlist",
        severity="critical",
        message=f"a vehicle whose plate matches {entry} of the watchlist is here",
        track_id=track_id,
        detail={"entry": entry},
    )


@dataclass(slots=True)
class Arrivals:
    """Announces VIPs and people on the watchlist, each at most once per ``cooldown_s``.

    A frame that is decided again after a crash is announced again, under the same id. Several
    resolvers that announce the same person mostly produce the same id too, since ids are derived
    from time slots of ``cooldown_s``. Consumers of alerts deduplicate by id.
    """

    site_id: SiteId
    cooldown_s: float
    _last: dict[CustomerId, Instant] = field(default_factory=dict)
    _outage: Instant | None = None

    def gallery_unavailable(self, camera_id: CameraId, captured_at: Instant) -> list[AlertEvent]:
        """Return the alert that the gallery is down, unless one was raised within the cooldown."""
        if self._outage and 0 < abs(seconds_between(self._outage, captured_at)) < self.cooldown_s:
            return []
        self._outage = captured_at
        return [gallery_unavailable(self.site_id, camera_id, captured_at)]

    def announce(
        self,
        camera_id: CameraId,
        captured_at: Instant,
        track_id: TrackId,
        customer_id: CustomerId,
        kind: IdentityKind,
    ) -> list[AlertEvent]:
        """Return the alert for a recognized person, if the kind calls for one and none is recent.

        A repeat at the same instant is announced again: it is the same frame, replayed.
        """
        if kind not in _ANNOUNCEMENTS:
            return []
        before = self._last.get(customer_id)
        if before and 0 < abs(seconds_between(before, captured_at)) < self.cooldown_s:
            return []
        self._last[customer_id] = captured_at
        while len(self._last) > _MAX_REMEMBERED:
            del self._last[next(iter(self._last))]
        severity, message = _ANNOUNCEMENTS[kind]
        span = int(seconds_between(EPOCH, captured_at) // self.cooldown_s)
        return [
            AlertEvent(
                event_id=EventId(derive_id("alr", self.site_id, kind, customer_id, span)),
                site_id=self.site_id,
                camera_id=camera_id,
                captured_at=captured_at,
                rule=kind.value,
                severity=severity,
                message=message,
                track_id=track_id,
                customer_id=customer_id,
            )
        ]
