"""State of one partition of the insight engine: its cameras, or its customers.

A new owner of a partition resumes from the snapshot of the last one. ``changes`` returns the values
to write to the snapshot, by key; None deletes a key.
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from trinetra.errors import MalformedEvent
from trinetra.events.codec import decode
from trinetra.events.schema import IdentityEvent, TrackPosition, TracksEvent, Visit
from trinetra.events.sightings import Sighting, decode_sighting
from trinetra.insights.camera.camera_analytics import CameraAnalytics, Outcome
from trinetra.insights.camera.presence import COUNTED_KINDS
from trinetra.insights.camera.reports import Place
from trinetra.insights.config import CameraInsights, InsightPolicy
from trinetra.insights.snapshot import decode_camera, decode_visits, encode_camera, encode_visits
from trinetra.insights.visits.visit_tracker import VisitTracker, visits_on_record
from trinetra.values import CameraId, CustomerId, Instant, SiteId

CameraEvent = TracksEvent | IdentityEvent
Step = Callable[[], Outcome | None]
"""Processes one record, in order; returns None if it was processed before."""


class CameraPartition:
    """The cameras of one partition of identities; erased customers count as unidentified."""

    def __init__(
        self,
        site_id: SiteId,
        plans: Mapping[CameraId, CameraInsights],
        policy: InsightPolicy,
        is_erased: Callable[[CustomerId], bool] = lambda _: False,
    ) -> None:
        self._is_erased = is_erased
        self._site_id = site_id
        self._plans = plans
        self._policy = policy
        self._cameras: dict[CameraId, CameraAnalytics] = {}
        self._changed: set[CameraId] = set()

    @property
    def open_stays(self) -> int:
        """Number of stays in progress."""
        return sum(camera.open_stays for camera in self._cameras.values())

    def read(self, payload: bytes, _offset: int) -> Step:
        """Decode a record and return its step; raises MalformedEvent if it does not belong here."""
        event = decode(payload)
        if not isinstance(event, TracksEvent | IdentityEvent):
            kind = type(event).__struct_config__.tag
            raise MalformedEvent(f"event {event.event_id}: unexpected {kind} event")
        _check_site(event.site_id, self._site_id, f"event {event.event_id}")
        if isinstance(event, TracksEvent) and min(event.frame_width, event.frame_height) < 1:
            raise MalformedEvent(f"event {event.event_id}: the frame has no pixels")
        return partial(self.step, self._without_erased(event))

    def step(self, event: CameraEvent) -> Outcome | None:
        """Process an event of one of the cameras; return None for a frame seen before."""
        camera = self._camera(event.camera_id)
        if not camera.is_news(event):
            return None
        self._changed.add(event.camera_id)
        return camera.step(event)

    def change(self, plans: Mapping[CameraId, CameraInsights]) -> Outcome:
        """Count by these plans from the next event on; return what ends with the former ones."""
        before, self._plans = self._plans, plans
        outcome = Outcome()
        for camera_id, camera in self._cameras.items():
            plan = plans.get(camera_id, CameraInsights())
            if plan != before.get(camera_id, CameraInsights()):
                outcome.insights += camera.change(plan).insights
                self._changed.add(camera_id)
        return outcome

    def flush(self) -> Outcome:
        """End all stays and segments of the cameras."""
        outcome = Outcome()
        for camera_id, camera in self._cameras.items():
            ended = camera.flush()
            outcome.insights += ended.insights
            outcome.sightings += ended.sightings
            self._changed.add(camera_id)
        return outcome

    def forget(self) -> int:
        """Remove erased customers; return 0, since no visits are kept here."""
        self._changed |= {c for c, cam in self._cameras.items() if cam.forget(self._is_erased)}
        return 0

    @property
    def has_changes(self) -> bool:
        """True if something changed since ``changes`` was called."""
        return bool(self._changed)

    def changes(self) -> dict[str, bytes | None]:
        """Return what is to be remembered since the last call."""
        changed, self._changed = self._changed, set()
        return {c: encode_camera(self._cameras[c].memory()) for c in sorted(changed)}

    def resume(self, memories: Mapping[str, bytes]) -> dict[str, str]:
        """Go on from what was remembered; return, by key, what could not be read and why."""
        faults: dict[str, str] = {}
        for key, payload in memories.items():
            try:
                memory = decode_camera(payload)
            except ValueError as fault:
                faults[key] = str(fault)
            else:
                self._camera(CameraId(key)).resume(memory)
        self.forget()
        return faults

    def _without_erased(self, event: CameraEvent) -> CameraEvent:
        if isinstance(event, IdentityEvent):
            return replace(event, customer_id=None) if self._names_erased(event) else event
        if not any(map(self._names_erased, event.tracks)):
            return event
        tracks = (
            replace(t, customer_id=None) if self._names_erased(t) else t for t in event.tracks
        )
        return replace(event, tracks=tuple(tracks))

    def _names_erased(self, position: IdentityEvent | TrackPosition) -> bool:
        return position.customer_id is not None and self._is_erased(position.customer_id)

    def _camera(self, camera_id: CameraId) -> CameraAnalytics:
        if camera_id not in self._cameras:
            plan = self._plans.get(camera_id, CameraInsights())
            self._cameras[camera_id] = CameraAnalytics(
                Place(self._site_id, camera_id), plan, self._policy
            )
        return self._cameras[camera_id]


class CustomerPartition:
    """The customers of one partition of sightings, without erased ones."""

    def __init__(
        self,
        site_id: SiteId,
        policy: InsightPolicy,
        is_erased: Callable[[CustomerId], bool] = lambda _: False,
    ) -> None:
        self._is_erased = is_erased
        self._site_id = site_id
        self._visits = VisitTracker(
            site_id, policy.visit_gap_s, policy.visit_resend_s, 2 * policy.forget_after_s
        )
        self._changed: set[CustomerId] = set()
        self._awaited: dict[CustomerId, int] = {}
        self._horizon: Instant | None = None
        self._offset = -1

    def read(self, payload: bytes, offset: int) -> Step:
        """Decode a record and return its step; raises MalformedEvent if it does not belong here."""
        sighting = decode_sighting(payload)
        _check_site(sighting.site_id, self._site_id, f"sighting of {sighting.customer_id}")
        if self._is_erased(sighting.customer_id):
            return Outcome  # an empty outcome: the customer has been erased meanwhile
        if sighting.kind in COUNTED_KINDS:
            self._awaited[sighting.customer_id] = offset
            self._horizon = max(sighting.until, self._horizon or sighting.until)
        return partial(self.step, sighting, offset)

    def unknown_customers(self) -> list[CustomerId]:
        """Return the customers in the records read that must be met before the first step."""
        return sorted(self._awaited.keys() - self._visits.customers.keys())

    def meet(self, customer_id: CustomerId, last_visit: Visit | None) -> None:
        """Add a customer with the last visit on record."""
        self._visits.meet(customer_id, visits_on_record(last_visit))

    def expect(self) -> None:
        """Mark the customers who might be dropped before their last record is stepped.

        The marks must be committed before the first step: once a step has written to the store, a
        new owner that repeats the step must not look these customers up there again, because the
        store may already contain the visit that the step starts.
        """
        for customer_id, offset in self._awaited.items():
            if self._horizon and self._visits.may_end(customer_id, self._horizon):
                self._visits.customers[customer_id].awaited_to = offset
                self._changed.add(customer_id)
        self._awaited, self._horizon = {}, None

    def step(self, sighting: Sighting, offset: int) -> Outcome:
        """Process a sighting of one of the customers."""
        self._offset = offset
        visits = self._visits.step(sighting)
        if sighting.customer_id in self._visits.customers:
            self._changed.add(sighting.customer_id)
        self._changed |= {visit.customer_id for visit in visits}
        return Outcome([*visits])

    def flush(self) -> Outcome:
        """Report every visit in its current state."""
        visits = self._visits.flush()
        self._changed |= {visit.customer_id for visit in visits}
        return Outcome([*visits])

    def forget(self) -> int:
        """Remove erased customers; return the number of visits removed."""
        erased = [
            customer_id for customer_id in self._visits.customers if self._is_erased(customer_id)
        ]
        for customer_id in erased:
            self._visits.forget(customer_id)
        self._changed |= set(erased)
        return len(erased)

    @property
    def has_changes(self) -> bool:
        """True if something changed since ``changes`` was called."""
        return bool(self._changed)

    def changes(self) -> dict[str, bytes | None]:
        """Return the changed values since the last call, and drop customers whose visit ended."""
        over = self._visits.forget_ended(self._offset)
        changed, self._changed = self._changed, set()
        customers = self._visits.customers
        return {
            c: encode_visits(customers[c]) if c in customers else None
            for c in sorted(changed | over)
        }

    def resume(self, memories: Mapping[str, bytes]) -> dict[str, str]:
        """Go on from what was remembered; return, by key, what could not be read and why."""
        faults: dict[str, str] = {}
        for key, payload in memories.items():
            if self._is_erased(CustomerId(key)):
                self._changed.add(CustomerId(key))  # so that it is deleted
                continue
            try:
                self._visits.meet(CustomerId(key), decode_visits(payload))
            except ValueError as fault:
                faults[key] = str(fault)
        return faults


def _check_site(site_id: SiteId, own_id: SiteId, what: str) -> None:
    if site_id != own_id:
        raise MalformedEvent(f"{what}: belongs to site {site_id}, not {own_id}")
