"""Vehicles in the view of one camera, each from the first to the last frame of its track."""

from dataclasses import dataclass, field

import msgspec

from trinetra.events.schema import Box, TrackPlate, TrackPosition, TracksEvent, VehicleStay
from trinetra.insights.camera.reports import Place
from trinetra.values import EventId, Instant, TrackId, derive_id, seconds_between

VEHICLES = frozenset({"bicycle", "car", "motorcycle", "bus", "truck"})
_GIVEN_UP_S = 60.0
"""A track that is not seen for so long is over, even if its end was never told."""


class SeenVehicle(msgspec.Struct, array_like=True):
    """A vehicle in view; ``labels`` counts in how many frames it was of each class.

    Stored by position in snapshots: add new fields at the end.
    """

    track_id: TrackId
    entered_at: Instant
    seen_at: Instant
    appeared: Box
    vanished: Box
    labels: dict[str, int]
    plate: TrackPlate | None = None


@dataclass(slots=True)
class VehicleWatch:
    """Reports a vehicle when its track ends."""

    place: Place
    in_view: dict[TrackId, SeenVehicle] = field(default_factory=dict)

    def resume(self, vehicles: list[SeenVehicle]) -> None:
        """Restore the vehicles from a snapshot."""
        self.in_view = {vehicle.track_id: vehicle for vehicle in vehicles}

    def step(self, event: TracksEvent) -> list[VehicleStay]:
        """Take a frame in; return the vehicles whose tracks are over."""
        for position in event.tracks:
            if position.label in VEHICLES:
                self._see(position, event.captured_at)
        over = [track_id for track_id in event.ended if track_id in self.in_view]
        over += [v.track_id for v in self.in_view.values() if _is_lost(v, event.captured_at)]
        return [self._stay(self.in_view.pop(track_id)) for track_id in dict.fromkeys(over)]

    def flush(self) -> list[VehicleStay]:
        """End everything in view at its last frame."""
        over, self.in_view = self.in_view, {}
        return [self._stay(vehicle) for vehicle in over.values()]

    def _see(self, seen: TrackPosition, at: Instant) -> None:
        vehicle = self.in_view.get(seen.track_id)
        if vehicle is None:
            vehicle = SeenVehicle(seen.track_id, at, at, seen.box, seen.box, {})
            self.in_view[seen.track_id] = vehicle
        vehicle.seen_at, vehicle.vanished = at, seen.box
        vehicle.labels[seen.label] = vehicle.labels.get(seen.label, 0) + 1
        vehicle.plate = seen.plate or vehicle.plate

    def _stay(self, vehicle: SeenVehicle) -> VehicleStay:
        label = max(sorted(vehicle.labels), key=lambda name: vehicle.labels[name])
        return VehicleStay(
            event_id=EventId(derive_id("vehicle", *self.place, vehicle.track_id)),
            site_id=self.place.site_id,
            camera_id=self.place.camera_id,
            captured_at=vehicle.seen_at,
            track_id=vehicle.track_id,
            label=label,
            entered_at=vehicle.entered_at,
            appeared=vehicle.appeared,
            vanished=vehicle.vanished,
            plate=vehicle.plate,
        )


def _is_lost(vehicle: SeenVehicle, at: Instant) -> bool:
    return seconds_between(vehicle.seen_at, at) > _GIVEN_UP_S
