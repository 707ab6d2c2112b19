"""Insights on record, explanations of figures, vehicles and context, as the API sees them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec

from trinetra.adapters.disk.audit import Action
from trinetra.client.models import (
    ContextEntry,
    Contribution,
    FigureExplanation,
    FigureValue,
    Gap,
    Insight,
    InsightType,
    LeftOut,
    MetricInfo,
    Page,
    RegularVehicle,
    VehicleVisit,
)
from trinetra.events import schema
from trinetra.events.derivation import Span
from trinetra.events.schema import InsightEvent
from trinetra.explanation.render import told
from trinetra.insights import why
from trinetra.insights.figures import FigureReader
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.vehicles.regulars import regulars
from trinetra.ports import ContextStore, InsightQuery, SiteStore
from trinetra.settings import Settings
from trinetra.values import CameraId, CustomerId, EventId, Instant
from trinetra.web.backend import InsightSearch
from trinetra.web.cursors import cursor_of, not_a_cursor, parts_of
from trinetra.wiring.audit_trail import record_deed

_LISTED = 200
_KINDS: dict[str, type[InsightEvent]] = {
    str(type_.__struct_config__.tag): type_ for type_ in get_args(InsightEvent)
}
_IDENTIFYING = frozenset({"customer_id", "track_id", "body_id", "plate"})
_COMMON = ("event_id", "camera_id", "captured_at")


@dataclass(frozen=True, slots=True)
class InsightDesk:
    """The Insights of the web, from the insight store; reads of people's ids are audited."""

    store: SiteStore
    reader: Callable[[], FigureReader]
    settings: Settings

    def types(self) -> Sequence[InsightType]:
        """Return the types of insights."""
        return [
            InsightType(kind=kind, names_customers="customer_id" in type_.__struct_fields__)
            for kind, type_ in _KINDS.items()
        ]

    async def page(self, caller: str | None, wanted: InsightSearch) -> Page[Insight]:
        """Return insights in the order of capture; without a caller, without ids of people."""
        found, cursor = await self._events(wanted)
        if caller is not None:
            await self._note(caller, wanted.customer_id, wanted.kind)
        items = (insight_of(event, names_people=caller is not None) for event in found)
        return Page[Insight](items=tuple(items), next_cursor=cursor)

    async def explain_figure(
        self, metric: str, span: Span, place: str, *, names_people: bool
    ) -> FigureExplanation:
        """Return what a figure is made of. Raises ConfigurationError for an unknown metric."""
        found = await why.explain_figure(self.reader(), self.store, metric, span, place)
        name: Callable[[CustomerId], str] = str if names_people else lambda _: "a customer"
        return FigureExplanation(
            metric=metric_info(found.metric),
            figure=FigureValue(**msgspec.structs.asdict(found.figure)),
            counted=len(found.counted),
            left_out=len(found.left_out),
            contributions=tuple(_contribution(one, name) for one in found.counted[:_LISTED]),
            omissions=tuple(_left_out(one, name) for one in found.left_out[:_LISTED]),
            gaps=tuple(map(_gap, found.gaps[:_LISTED])),
            is_exact=found.is_exact,
        )

    async def vehicles(self, caller: str | None, wanted: InsightSearch) -> Page[VehicleVisit]:
        """Return visits of vehicles in the order of arrival; without a caller, without plates."""
        found, cursor = await self._events(wanted)
        if caller is not None:
            await self._note(caller, None, "vehicles")
        visits = (v for v in found if isinstance(v, schema.VehicleVisit))
        items = (_vehicle(visit, shows_plate=caller is not None) for visit in visits)
        return Page[VehicleVisit](items=tuple(items), next_cursor=cursor)

    async def regulars(self, caller: str, span: Span, least_days: int) -> Sequence[RegularVehicle]:
        """Return the vehicles that came on at least so many days, most days first."""
        await self._note(caller, None, "regular vehicles")
        found = await self.store.counted(["vehicle_visit"], span)
        visits = [visit for visit in found if isinstance(visit, schema.VehicleVisit)]
        return [
            RegularVehicle(
                plate_id=one.plate_id,
                days=one.days,
                visits=one.visits,
                first_at=one.first_at,
                last_at=one.last_at,
            )
            for one in regulars(visits, self.reader().site.zone, least_days)
        ]

    async def _events(self, wanted: InsightSearch) -> tuple[list[InsightEvent], str | None]:
        query = InsightQuery(
            wanted.kind,
            wanted.span,
            wanted.limit + 1,
            _after(wanted.cursor),
            CameraId(wanted.camera_id) if wanted.camera_id else None,
            CustomerId(wanted.customer_id) if wanted.customer_id else None,
        )
        found = await self.store.page(query)
        shown = found[: wanted.limit]
        is_last = len(found) == len(shown)
        return shown, None if is_last else _cursor(shown[-1])

    async def _note(self, caller: str, customer_id: str | None, detail: str) -> None:
        action: Action = "show" if customer_id else "list"
        who = CustomerId(customer_id) if customer_id else None
        await asyncio.to_thread(record_deed, self.settings, action, who, detail, caller)


@dataclass(frozen=True, slots=True)
class ContextDesk:
    """The Context of the web."""

    store: ContextStore

    async def between(self, span: Span) -> Sequence[ContextEntry]:
        """Return the entries of a span, in order of their start."""
        return [
            ContextEntry(
                kind=entry.kind,
                name=entry.name,
                starts_at=entry.starts_at,
                ends_at=entry.ends_at,
                value=entry.value,
                text=entry.text,
            )
            for entry in await self.store.between(span.start, span.end)
        ]


def insight_of(event: InsightEvent, *, names_people: bool = True) -> Insight:
    """Return an insight as the API tells it, without what identifies people if they are hidden."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    common = {name: fields.pop(name) for name in _COMMON}
    kind = fields.pop("type")
    hidden = {"site_id", "version"} | (frozenset() if names_people else _IDENTIFYING)
    told = {name: value for name, value in fields.items() if name not in hidden}
    return Insight(kind=kind, fields=told, **common)


def metric_info(metric: Metric) -> MetricInfo:
    """Return the definition of a metric as the API tells it."""
    return MetricInfo(
        name=metric.name,
        version=metric.version,
        title=metric.title,
        unit=metric.unit,
        counts=metric.counts,
        leaves_out=metric.leaves_out,
        trade=metric.trade,
        is_total=metric.is_total,
    )


def _contribution(found: why.Contribution, name: Callable[[CustomerId], str]) -> Contribution:
    insight, cells = found
    return Contribution(
        event_id=insight.event_id,
        at=insight.captured_at,
        told=told(insight, name),
        adds=sum(cell.value for cell in cells),
        place=cells[0].place,
    )


def _left_out(insight: InsightEvent, name: Callable[[CustomerId], str]) -> LeftOut:
    return LeftOut(
        event_id=insight.event_id,
        at=insight.captured_at,
        told=told(insight, name),
        why=why.why_left_out(insight),
    )


def _gap(gap: why.Gap) -> Gap:
    return Gap(camera_id=gap.camera_id, start=gap.span.start, end=gap.span.end, reason=gap.reason)


def _vehicle(visit: schema.VehicleVisit, *, shows_plate: bool) -> VehicleVisit:
    plate = visit.plate if shows_plate else None
    return VehicleVisit(
        event_id=visit.event_id,
        arrived_at=visit.captured_at,
        left_at=visit.left_at,
        stay_s=visit.stay_s,
        label=visit.label,
        cameras=visit.cameras,
        departed=visit.departed,
        plate_id=plate.plate_id if plate else None,
        plate=plate.text if plate else None,
    )


def _cursor(event: InsightEvent) -> str:
    return cursor_of(event.captured_at.isoformat(), event.event_id)


def _after(cursor: str | None) -> tuple[Instant, EventId] | None:
    if cursor is None:
        return None
    at, event_id = parts_of(cursor, 2)
    try:
        instant = datetime.fromisoformat(at)
    except ValueError as cause:
        raise not_a_cursor() from cause
    if instant.tzinfo is None:
        raise not_a_cursor()
    return instant, EventId(event_id)
