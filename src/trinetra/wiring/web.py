"""Builds the web application: the platform as its API and pages see it."""

from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo as TimeZone

from trinetra import __version__
from trinetra.alerts.desk import AlertDesk
from trinetra.client.models import CameraInfo, LineInfo, MetricInfo, OpenHours, SiteInfo, ZoneInfo
from trinetra.events.figures import FigureTable
from trinetra.insights.figures import FigureQuery, FigureReader
from trinetra.insights.metrics.catalog import METRICS
from trinetra.opening_hours import OpenSpan
from trinetra.ports import Clock, SiteStore
from trinetra.site import Site
from trinetra.site.cameras import Camera
from trinetra.web.backend import Backend, FigureQuestion, Receipts
from trinetra.web.live.parts import LiveParts
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.live import heatmap_of, read_journeys
from trinetra.wiring.site_graph import opening_hours


def backend_of(
    site: Site,
    store: SiteStore,
    clock: Clock,
    *,
    alerts: AlertDesk | None = None,
    receipts: Receipts | None = None,
    live: LiveParts | None = None,
) -> Backend:
    """Return what the web needs of a platform whose insights are in ``store``.

    ``live`` is what ``open_live`` provides; without it the web shows figures only.
    """
    return Backend(
        receipts=receipts,
        site=lambda: site_info(site, clock),
        figures=StoredFigures(figure_reader(site, store, clock)),
        alerts=alerts,
        journeys=partial(read_journeys, site, store),
        heatmap=partial(heatmap_of, site, store, clock),
        live=live,
    )


class StoredFigures:
    """Figures from the insight store."""

    def __init__(self, reader: FigureReader) -> None:
        self._reader = reader

    def metrics(self) -> Sequence[MetricInfo]:
        """Return the definitions of all metrics."""
        return [
            MetricInfo(
                name=metric.name,
                version=metric.version,
                title=metric.title,
                unit=metric.unit,
                counts=metric.counts,
                leaves_out=metric.leaves_out,
                trade=metric.trade,
                is_total=metric.is_total,
            )
            for metric in METRICS
        ]

    async def read(self, question: FigureQuestion) -> FigureTable:
        """Return figures. Raises ConfigurationError or StoreUnavailable."""
        return await self._reader.read(FigureQuery(*question))


def site_info(site: Site, clock: Clock) -> SiteInfo:
    """Return what users of the API may know of a site."""
    hours = opening_hours(site)
    return SiteInfo(
        id=site.site,
        timezone=site.timezone,
        version=__version__,
        now=clock.now().astimezone(TimeZone(site.timezone)),
        cameras=tuple(map(_camera_info, site.cameras)),
        opening_hours=tuple(map(_open_hours, hours.spans)) if hours else None,
    )


def _open_hours(span: OpenSpan) -> OpenHours:
    return OpenHours(weekday=span.weekday, opens_min=span.opens_min, closes_min=span.closes_min)


def _camera_info(camera: Camera) -> CameraInfo:
    return CameraInfo(
        id=camera.id,
        role=camera.role.value,
        lines=tuple(LineInfo(id=x.id, a=x.a, b=x.b, kind=x.kind) for x in camera.lines),
        zones=tuple(
            ZoneInfo(id=z.id, kind=z.kind, polygon=z.polygon, tills=z.tills) for z in camera.zones
        ),
        position_m=(camera.position.x_m, camera.position.y_m) if camera.position else None,
        has_floor=bool(camera.floor),
    )
