"""The rules' state of one partition of insights, by camera, as it is committed and restored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from trinetra.alerts.rules.camera import CameraRules, CameraState
from trinetra.alerts.rules.plan import AlertPlan
from trinetra.alerts.rules.signal import Signal
from trinetra.events.schema import InsightEvent
from trinetra.values import CameraId, Instant, seconds_between

LIVE_WITHIN_S = 90.0
"""A camera whose latest event is no older is live: its conditions go on with the clock. Coverage is
reported every minute, so that a live camera is never silent for longer."""
_NO_CAMERA = "-"
"""Key of the state of site-wide insights, whose camera id is empty."""


@dataclass(slots=True)
class AlertPartition:
    """The rules of all cameras of one partition."""

    plan: AlertPlan
    _cameras: dict[str, CameraRules] = field(default_factory=dict)
    _saved: dict[str, bytes] = field(default_factory=dict)

    def resume(self, state: Mapping[str, bytes]) -> dict[str, str]:
        """Take saved states over; return those that cannot be read, with the reason."""
        faults: dict[str, str] = {}
        for key, value in state.items():
            try:
                saved = msgspec.json.decode(value, type=CameraState)
            except (msgspec.MsgspecError, ValueError) as cause:
                faults[key] = str(cause)
                continue
            camera_id = CameraId("" if key == _NO_CAMERA else key)
            self._cameras[key] = rules = CameraRules(self.plan, camera_id, saved)
            rules.change(self.plan)
            self._saved[key] = value
        return faults

    def change(self, plan: AlertPlan) -> None:
        """Apply other rules from the next event on."""
        self.plan = plan
        for rules in self._cameras.values():
            rules.change(plan)

    def step(self, event: InsightEvent) -> list[Signal]:
        """Take an insight in; return what it calls for."""
        key = event.camera_id or _NO_CAMERA
        if key not in self._cameras:
            self._cameras[key] = CameraRules(self.plan, event.camera_id)
        return self._cameras[key].step(event)

    def look(self, now: Instant) -> list[Signal]:
        """Return what live cameras' conditions call for as time passes."""
        return [signal for rules in self._live(now) for signal in rules.look(now)]

    def changes(self) -> dict[str, bytes | None]:
        """Return the states that differ from those returned last, by key."""
        changed: dict[str, bytes | None] = {}
        for key, rules in self._cameras.items():
            value = msgspec.json.encode(rules.state)
            if self._saved.get(key) != value:
                self._saved[key] = changed[key] = value
        return changed

    def _live(self, now: Instant) -> Iterator[CameraRules]:
        for rules in self._cameras.values():
            newest = rules.state.newest
            if newest is not None and 0 <= seconds_between(newest, now) <= LIVE_WITHIN_S:
                yield rules
