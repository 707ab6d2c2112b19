"""What a rule finds: something to tell people about, or that it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trinetra.events.alerts import NoticeKey, RuleName
from trinetra.values import CameraId, CustomerId, Instant

Facts = Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Signal:
    """A finding of a rule about one subject, at an instant of the cameras' clocks.

    ``lasting`` findings hold until the same rule tells that it ``is_over``. ``facts`` fill in the
    wording and name no person. ``private`` is a text that identifies a person or a vehicle.
    """

    rule: RuleName
    subject: str
    at: Instant
    camera_id: CameraId | None = None
    facts: Facts = field(default_factory=dict)
    lasting: bool = False
    is_over: bool = False
    person: CustomerId | None = None
    private: str = ""

    @property
    def key(self) -> NoticeKey:
        """The rule and what it is about."""
        return NoticeKey(self.rule, self.subject)
