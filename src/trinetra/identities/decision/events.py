"""Builds the resolver's identity, track and lifecycle events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from trinetra.events.schema import (
    DetectionEvent,
    IdentityEvent,
    LifecycleEvent,
    TrackPlate,
    TrackPosition,
    TracksEvent,
)
from trinetra.identities.decision.track_identity import FrameHeader, FrameOutcome, TrackIdentity
from trinetra.values import CameraId, EventId, Instant, SiteId, TrackId, derive_id


def identity_event(
    identity: TrackIdentity, site_id: SiteId, camera_id: CameraId, captured_at: Instant
) -> IdentityEvent:
    """Return the event with a track's current decision; raises ValueError without one."""
    decision, explained = identity.decision, identity.explained
    if decision is None or explained is None:
        raise ValueError(f"track {identity.track_id} has no decision to announce")
    name = (identity.track_id, captured_at, decision.status, decision.customer_id)
    return IdentityEvent(
        event_id=EventId(derive_id("idn", *name, *decision.reasons)),
        site_id=site_id,
        camera_id=camera_id,
        captured_at=captured_at,
        track_id=identity.track_id,
        status=decision.status,
        reasons=decision.reasons,
        evidence=explained,
        track_started_at=identity.started_at,
        customer_id=decision.customer_id,
        kind=decision.kind,
        since=identity.since or msgspec.UNSET,
        linked=decision.linked or msgspec.UNSET,
    )


def tracks_event(
    event: DetectionEvent,
    outcome: FrameOutcome,
    plates: Mapping[TrackId, TrackPlate] = MappingProxyType({}),
) -> TracksEvent:
    """Return the event with the positions of a frame's tracks, their identities and plates."""
    return TracksEvent(
        event_id=EventId(derive_id("trs", event.event_id)),
        site_id=event.site_id,
        camera_id=event.camera_id,
        captured_at=event.captured_at,
        frame_seq=event.frame_seq,
        frame_width=event.frame_width,
        frame_height=event.frame_height,
        tracks=tuple(
            TrackPosition(
                track_id=seen.identity.track_id,
                label=seen.identity.label,
                box=seen.box,
                customer_id=seen.identity.customer_id,
                kind=seen.identity.decision.kind if seen.identity.decision else None,
                predicted=seen.predicted,
                linked=seen.identity.is_linked,
                plate=plates.get(seen.identity.track_id),
            )
            for seen in outcome.visible
        ),
        ended=tuple(identity.track_id for identity in outcome.ended),
        session=event.session,
    )


def track_ended(last: FrameHeader, ended: Sequence[TrackIdentity]) -> TracksEvent:
    """Return the event that ends a camera's tracks when no frame follows its last one.

    Without tracks it tells only that the camera is silent.
    """
    tracks = tuple(identity.track_id for identity in ended)
    name = ("trs", last.event_id, *tracks) if tracks else ("silent", last.event_id)
    return TracksEvent(
        event_id=EventId(derive_id(*name)),
        site_id=last.site_id,
        camera_id=last.camera_id,
        captured_at=last.captured_at,
        frame_seq=last.frame_seq,
        frame_width=last.frame_width,
        frame_height=last.frame_height,
        ended=tracks,
        silent=True,
        session=last.session or msgspec.UNSET,
    )


def lifecycle_events(
    site_id: SiteId,
    camera_id: CameraId,
    captured_at: Instant,
    changed: Iterable[TrackIdentity],
    ended: Iterable[TrackIdentity],
) -> Iterator[LifecycleEvent]:
    """Yield ``created`` events for new identities and ``seen`` events for tracks that ended.

    An identity is created once, by the track that its id is derived from, and seen once per track.
    """
    for change, identities in (("created", changed), ("seen", ended)):
        for identity in identities:
            decision = identity.decision
            if decision is None or decision.customer_id is None:
                continue
            if change == "created" and decision.status != "new":
                continue
            name = (change, decision.customer_id, identity.track_id)
            yield LifecycleEvent(
                event_id=EventId(derive_id("lif", *name)),
                site_id=site_id,
                camera_id=camera_id,
                captured_at=captured_at,
                change=change,  # type: ignore[arg-type]  # the literals above are changes
                customer_id=decision.customer_id,
                kind=decision.kind,
                track_id=identity.track_id,
            )
