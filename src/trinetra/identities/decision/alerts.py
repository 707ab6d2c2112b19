"""What the resolver alerts people to, as events."""

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

_ANNOUNCED: Mapping[IdentityKind, tuple[Literal["info", "critical"], str]] = {
    IdentityKind.VIP: ("info", "a VIP is here"),
    IdentityKind.WATCHLIST: ("critical", "somebody on the watchlist is here"),
}
_DRIFTING: Mapping[Quantity, str] = {
    "score": "likeness to known faces",
    "quality": "quality",
    "norm": "length as vectors, a measure of the picture,",
}
_MOST_REMEMBERED = 10_000
"""Announced people whose cooldown is known; the one longest in the list gives way."""


def impossible_transition(
    site_id: SiteId,
    camera_id: CameraId,
    captured_at: Instant,
    track_id: TrackId,
    gate: GateEvidence,
) -> AlertEvent:
    """Return the alert for a strong match with somebody who cannot have walked here in time."""
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
            f"{distance_m:.0f} m away: nobody walks that fast"
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
    """Return the alert that people go out as unknown because the gallery does not answer."""
    return AlertEvent(
        event_id=EventId(derive_id("alr", "gallery", camera_id, captured_at)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        rule="gallery_unavailable",
        severity="critical",
        message="the gallery does not answer: people go out as unknown until it is back",
    )


def faces_drift(site_id: SiteId, captured_at: Instant, found: Finding) -> AlertEvent:
    """Return the alert that a camera's faces are no longer what thresholds were made for."""
    return AlertEvent(
        event_id=EventId(derive_id("alr", "drift", found.camera_id, found.quantity, captured_at)),
        site_id=site_id,
        camera_id=found.camera_id,
        captured_at=captured_at,
        rule="faces_drift",
        severity="warning",
        message=f"faces are not what they were: their {_DRIFTING[found.quantity]} has moved far",
        detail={"quantity": found.quantity, "psi": round(found.psi, 3)},
    )


@dataclass(slots=True)
class Arrivals:
    """Announces people who somebody waits for, each at most once in ``cooldown_s``.

    What is announced of a frame that is decided again after a crash is announced again, under the
    same id. So is, mostly, what several resolvers announce of one person: ids follow from spans of
    ``cooldown_s``. Who reads alerts takes those of one id for one.
    """

    site_id: SiteId
    cooldown_s: float
    _last: dict[CustomerId, Instant] = field(default_factory=dict)
    _outage: Instant | None = None

    def gallery_unavailable(self, camera_id: CameraId, captured_at: Instant) -> list[AlertEvent]:
        """Return the alert that the gallery is away, unless another outage was told just now."""
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
        """Return the alert that somebody was recognised, if anybody is to be told now."""
        if kind not in _ANNOUNCED:
            return []
        before = self._last.get(customer_id)
        if before and 0 < abs(seconds_between(before, captured_at)) < self.cooldown_s:
            return []
        self._last[customer_id] = captured_at
        while len(self._last) > _MOST_REMEMBERED:
            del self._last[next(iter(self._last))]
        severity, message = _ANNOUNCED[kind]
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
