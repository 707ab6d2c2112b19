"""What the resolver alerts people to, as events."""

from trinetra.events.schema import AlertEvent, GateEvidence
from trinetra.values import CameraId, EventId, Instant, SiteId, TrackId, derive_id


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
