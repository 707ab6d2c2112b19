"""What the API and the dashboard need from the platform; wiring provides it.

A part that this process cannot provide is None: its routes answer 404 and say why.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple, Protocol

from trinetra.client.models import (
    Comparison,
    ContextEntry,
    Customer,
    CustomerDetails,
    CustomerKind,
    CustomerUpdate,
    ErasureProgress,
    Explanation,
    ExportName,
    FaceMatches,
    FigureChanges,
    FigureExplanation,
    HeatmapAnswer,
    Insight,
    InsightType,
    Journeys,
    MergeCandidate,
    MetricInfo,
    Page,
    PeriodKind,
    RegularVehicle,
    Report,
    SiteInfo,
    StaffCandidate,
    VehicleVisit,
)
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
from trinetra.web.desks import AuditDesk, CameraDesk, SetupDesk
from trinetra.web.live.parts import LiveParts


class FigureQuestion(NamedTuple):
    """A question for figures: all metrics without names, of the whole site unless ``by_place``."""

    span: Span
    metrics: Sequence[str] = ()
    granularity: Granularity = "day"
    by_place: bool = False
    places: Sequence[str] | None = None
    impute: bool = False


class InsightSearch(NamedTuple):
    """Insights to list; ``customer_id`` stands for a person under all ids."""

    kind: str
    span: Span
    limit: int
    cursor: str | None = None
    camera_id: str | None = None
    customer_id: str | None = None


class ReportQuestion(NamedTuple):
    """A report that is asked for: of the period of a kind that contains ``first``.

    Without ``first`` it is the last one that is over; of a range, ``last`` is the last day. With
    ``rows_of`` only these metrics are given by time, too.
    """

    kind: PeriodKind = "day"
    first: date | None = None
    last: date | None = None
    granularity: Granularity | None = None
    metrics: Sequence[str] = ()
    compared: Sequence[Comparison] = ()
    impute: bool = False
    rows_of: Sequence[str] = ()


ChangeGranularity = Literal["hour", "day"]


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


class Photo(NamedTuple):
    """A photo as it was sent; it is never stored."""

    name: str
    content: bytes


class NewCustomer(NamedTuple):
    """A person to enroll, and the basis for keeping the face."""

    name: str
    kind: CustomerKind = "enrolled"
    consent: bool = False
    purpose: str | None = None
    allow_duplicate: bool = False
    largest: bool = False


class Customers(Protocol):
    """What is known of people; every read is entered in the audit trail as the caller's.

    Every method may raise UnknownCustomer or StoreUnavailable.
    """

    async def page(self, caller: str, wanted: "CustomerSearch") -> Page[Customer]:
        """Return enrolled customers in the order of enrollment. Raises Invalid for a bad cursor."""

    async def show(self, caller: str, customer_id: str) -> CustomerDetails:
        """Return a person with the latest that is on record."""

    async def merge_candidates(self, caller: str) -> Sequence[MergeCandidate]:
        """Return the pairs of identities that may be one person, most similar first."""

    async def staff_candidates(self, caller: str, days: int) -> Sequence[StaffCandidate]:
        """Return customers who behaved like staff on the last days."""

    async def explain(self, caller: str, subject: str) -> Explanation:
        """Return why an event, a track or a customer is what it is. Raises NotFound."""


class CustomerSearch(NamedTuple):
    """Enrolled customers to list: of a kind, whose name or id contains a text."""

    kind: CustomerKind | None = None
    text: str = ""
    limit: int = 50
    cursor: str | None = None


class CustomerChanges(Protocol):
    """Changes of people's data, entered in the audit trail as the caller's.

    Every method may raise CustomerConflict, UnknownCustomer or StoreUnavailable.
    """

    async def update(self, caller: str, customer_id: str, update: CustomerUpdate) -> None:
        """Change name or kind of a customer."""

    async def merge(self, caller: str, customer_id: str, into: str) -> None:
        """Merge one identity into another, whose id stays."""

    async def split(self, caller: str, customer_id: str) -> None:
        """Undo a merge."""

    async def dismiss(self, caller: str, customer_id: str, other: str) -> None:
        """Note that two identities are two people."""


class Photos(Protocol):
    """Faces in photos. Every method may raise PhotoRejected or ModelUnavailable."""

    async def search(self, caller: str, photo: Photo, *, largest: bool) -> FaceMatches:
        """Return the people whose faces are most similar to the one in a photo."""

    async def enroll(self, caller: str, photos: Sequence[Photo], wish: NewCustomer) -> Customer:
        """Enroll a person from photos. Raises CustomerConflict without a basis or for a twin."""


class Erasures(Protocol):
    """Erasures of people. Every method may raise StoreUnavailable."""

    async def request(self, caller: str, customer_id: str) -> ErasureProgress:
        """Erase a person for good, under all ids; other processes do their part later."""

    async def progress(self, customer_id: str) -> ErasureProgress | None:
        """Return how far an erasure is; None if none was requested."""


class Insights(Protocol):
    """Insights on record, and what follows from them. Every method may raise StoreUnavailable."""

    def types(self) -> Sequence[InsightType]:
        """Return the types of insights."""

    async def page(self, caller: str | None, wanted: InsightSearch) -> Page[Insight]:
        """Return insights in the order of capture. Raises Invalid for a bad cursor.

        Without a ``caller``, who may know people, their ids are left out.
        """

    async def explain_figure(
        self, metric: str, span: Span, place: str, *, names_people: bool
    ) -> FigureExplanation:
        """Return what a figure is made of. Raises ConfigurationError for an unknown metric."""

    async def vehicles(self, caller: str | None, wanted: InsightSearch) -> Page[VehicleVisit]:
        """Return visits of vehicles in the order of arrival. Raises Invalid for a bad cursor.

        Without a ``caller``, who may know people, plates are left out.
        """

    async def regulars(self, caller: str, span: Span, least_days: int) -> Sequence[RegularVehicle]:
        """Return the vehicles that came on at least so many days, most days first."""


class Context(Protocol):
    """What no camera sees."""

    async def between(self, span: Span) -> Sequence[ContextEntry]:
        """Return the entries of a span, in order of their start. Raises StoreUnavailable."""


class Exported(NamedTuple):
    """A file to download; ``tag`` changes exactly when what it says does."""

    content: bytes
    tag: str
    file_name: str


class Reports(Protocol):
    """Reports of periods. Every method may raise ConfigurationError or StoreUnavailable."""

    async def report(self, wanted: ReportQuestion) -> Report:
        """Return the figures of a period, compared with others."""

    async def export(self, name: ExportName, wanted: ReportQuestion) -> Exported:
        """Return a report as a file."""

    async def changes(
        self, granularity: ChangeGranularity, since: int, metrics: Sequence[str], most: int
    ) -> FigureChanges:
        """Return the figures that changed after a cursor, and the next cursor."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The platform as the web sees it."""

    site: Callable[[], SiteInfo]
    figures: Figures
    alerts: Alerts | None = None
    receipts: Receipts | None = None
    setup: SetupDesk | None = None
    camera_desk: CameraDesk | None = None
    audits: AuditDesk | None = None
    customers: Customers | None = None
    customer_changes: CustomerChanges | None = None
    photos: Photos | None = None
    erasures: Erasures | None = None
    insights: Insights | None = None
    reports: Reports | None = None
    context: Context | None = None
    journeys: Callable[[Span], Awaitable[Journeys]] | None = None
    heatmap: Callable[[str | None, Span], Awaitable[HeatmapAnswer]] | None = None
    live: LiveParts | None = None
