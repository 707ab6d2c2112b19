"""What the API and the dashboard need from the platform; wiring provides it.

A part that this process cannot provide is None: its routes answer 404 and say why.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from trinetra.client.models import HeatmapAnswer, Journeys, MetricInfo, SiteInfo
from trinetra.events.alerts import (
    Arming,
    Mute,
    Notice,
    NoticeDelivery,
    NoticePage,
    NoticeState,
    RuleName,
)
from trinetra.events.derivation import Span
from trinetra.events.figures import FigureTable, Granularity
from trinetra.values import Instant
from trinetra.web.live.parts import LiveParts


class FigureQuestion(NamedTuple):
    """A question for figures: all metrics without names, of the whole site unless ``by_place``."""

    span: Span
    metrics: Sequence[str] = ()
    granularity: Granularity = "day"
    by_place: bool = False
    places: Sequence[str] | None = None
    impute: bool = False


class Figures(Protocol):
    """Figures of the site."""

    def metrics(self) -> Sequence[MetricInfo]:
        """Return the definitions of all metrics."""

    async def read(self, question: FigureQuestion) -> FigureTable:
        """Return figures. Raises ConfigurationError or StoreUnavailable."""


class Alerts(Protocol):
    """The list of alerts. Every method may raise StoreUnavailable."""

    async def list(
        self, state: NoticeState | None, since: Instant | None, limit: int, cursor: str | None
    ) -> NoticePage:
        """Return alerts, newest first. Raises ValueError for a cursor that no page had."""

    async def acknowledge(self, alert_id: str, by: str) -> Notice | None:
        """Note who takes care of an alert; None if there is no such alert."""

    async def deliveries(self, alert_id: str) -> Sequence[NoticeDelivery] | None:
        """Return what was sent about an alert; None if there is no such alert."""

    async def mute(self, rule: RuleName, subject: str | None, until: Instant, by: str) -> Mute:
        """Send nothing about a rule, or one subject of it, until an instant."""

    async def mutes(self) -> Sequence[Mute]:
        """Return the mutes in force."""

    async def arm(self, armed: bool, by: str) -> Arming:  # noqa: FBT001 - it is the value
        """Send alerts about intruders from now on, or only list them."""

    async def armed(self) -> bool:
        """Return whether alerts about intruders are sent."""


class Reply(Protocol):
    """An answer to receipts: an HTTP status and a JSON document, a problem for 400 and more."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def document(self) -> Mapping[str, Any]:
        """JSON document; a problem (RFC 9457) if the status is 400 or more."""


class Receipts(Protocol):
    """Takes the receipts that points of sale post."""

    async def accept(self, body: bytes) -> Reply:
        """Take the receipts in a JSON document, all or none. Raises ServerUnavailable."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The platform as the web sees it."""

    site: Callable[[], SiteInfo]
    figures: Figures
    alerts: Alerts | None = None
    receipts: Receipts | None = None
    journeys: Callable[[Span], Awaitable[Journeys]] | None = None
    heatmap: Callable[[str | None, Span], Awaitable[HeatmapAnswer]] | None = None
    live: LiveParts | None = None
