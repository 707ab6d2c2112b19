"""Builds the web application: the platform as its API and pages see it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo as TimeZone

from trinetra import __version__
from trinetra.alerts.desk import AlertDesk
from trinetra.client.models import CameraInfo, LineInfo, MetricInfo, OpenHours, SiteInfo, ZoneInfo
from trinetra.errors import BufferUnavailable
from trinetra.events.figures import FigureTable
from trinetra.insights.figures import FigureQuery, FigureReader
from trinetra.insights.metrics.catalog import METRICS
from trinetra.opening_hours import OpenSpan
from trinetra.ports import Clock, Gallery, SiteStore
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.site.cameras import Camera
from trinetra.web.backend import Backend, FigureQuestion, Receipts
from trinetra.web.live.parts import LiveParts
from trinetra.web.live.pictures import CameraFeed, LivePicture, Variant
from trinetra.wiring.audit_desk import LineAuditDesk
from trinetra.wiring.camera_desk import SiteCameraDesk
from trinetra.wiring.customers import CustomerDesk
from trinetra.wiring.event_history import history_of
from trinetra.wiring.figures import figure_reader
from trinetra.wiring.live import heatmap_of, read_journeys
from trinetra.wiring.reports import ReportReader
from trinetra.wiring.setup_desk import SiteFileDesk
from trinetra.wiring.site_graph import opening_hours
from trinetra.wiring.site_watch import SiteWatcher
from trinetra.wiring.staff import StaffSearches
from trinetra.wiring.stores import open_context_store, open_customer_log
from trinetra.wiring.web_customers import ErasureDesk, FaceDesk, People, PhotoReader
from trinetra.wiring.web_insights import ContextDesk, InsightDesk, metric_info
from trinetra.wiring.web_reports import ReportDesk

_BOXES_S = 10.0
"""Patience for the boxes in a live picture before the camera is asked for one without them."""


def backend_of(
    site: Site,
    store: SiteStore,
    clock: Clock,
    *,
    alerts: AlertDesk | None = None,
    receipts: Receipts | None = None,
    site_file: "SiteFile | None" = None,
    live: LiveParts | None = None,
) -> Backend:
    """Return what the web needs of a platform whose insights are in ``store``.

    With ``site_file`` the site is what it says by now, and users may change it. ``live`` is what
    ``open_live`` provides; without it the web shows figures only.
    """
    current = site_file.current if site_file else lambda: site
    return Backend(
        receipts=receipts,
        site=lambda: site_info(current(), clock),
        figures=StoredFigures(lambda: figure_reader(current(), store, clock)),
        alerts=alerts,
        setup=site_file.desk(clock) if site_file else None,
        camera_desk=SiteCameraDesk(
            current, os.environ, clock, latest=partial(live_picture, live) if live else None
        ),
        audits=LineAuditDesk(current, store, clock),
        journeys=lambda span: read_journeys(current(), store, span),
        heatmap=lambda camera, span: heatmap_of(current(), store, clock, camera, span),
        live=live,
    )


async def live_picture(live: LiveParts, camera_id: str) -> bytes | None:
    """Return the latest picture of a running camera, with heads unrecognizable, to draw on.

    None if there is none on which one could draw: nothing is known of its frames for some seconds,
    or the camera does not look for people, so that all of its pictures are coarse.
    """
    feed = live.feed.pictures.feed(camera_id) if live.feed.pictures else None
    if feed is None or not feed.kind.finds_people:
        return None
    try:
        picture = await feed.picture(Variant())
        if picture is not None and picture.is_covered:
            picture = await _uncovered(feed)
    except BufferUnavailable:
        return None  # the camera itself is asked
    return picture.jpeg if picture else None


async def _uncovered(feed: CameraFeed) -> LivePicture | None:
    """Return the next picture of which something is known; None if there is none in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_BOXES_S), aclosing(feed.watch(Variant())) as watching:
            async for picture in watching:
                if not picture.is_covered:
                    return picture
    return None


class SiteFile:
    """The site file that this process was started with; ``watcher`` takes its changes over."""

    def __init__(
        self, path: Path, site: Site, settings: Settings, watcher: SiteWatcher | None = None
    ) -> None:
        self._path = path
        self._site = site
        self._settings = settings
        self._watcher = watcher

    def current(self) -> Site:
        """Return the site that is in force."""
        return self._watcher.site if self._watcher else self._site

    def desk(self, clock: Clock) -> SiteFileDesk:
        """Return what the web needs to show and change the file."""
        history = partial(history_of, self._settings, file=None, site=self._path)
        return SiteFileDesk(self._path, clock, history, self._watcher)


@asynccontextmanager
async def with_people(
    backend: Backend,
    site: Callable[[], Site],
    store: SiteStore,
    settings: Settings,
    clock: Clock,
    gallery: Gallery | None = None,
) -> AsyncIterator[Backend]:
    """Add customers, insights, reports and context of these settings, open for the block.

    ``site`` returns the site that is in force. ``gallery`` is the one that this process has open,
    so that a search by photo also finds people who are not enrolled. Raises StoreUnavailable or
    ConfigurationError.
    """
    async with (
        open_customer_log(settings) as customer_log,
        open_context_store(settings) as context_store,
    ):
        desk = CustomerDesk.on(settings, customer_log, store)
        people = People(desk, StaffSearches(site, store, clock))
        yield replace(
            backend,
            customers=people,
            customer_changes=people,
            photos=FaceDesk(desk, PhotoReader(settings), gallery),
            erasures=ErasureDesk(settings),
            insights=InsightDesk(store, lambda: figure_reader(site(), store, clock), settings),
            reports=ReportDesk(lambda: ReportReader(store, site(), clock), site(), clock),
            context=ContextDesk(context_store),
        )


class StoredFigures:
    """Figures from the insight store."""

    def __init__(self, reader: Callable[[], FigureReader]) -> None:
        self._reader = reader

    def metrics(self) -> Sequence[MetricInfo]:
        """Return the definitions of all metrics."""
        return [metric_info(metric) for metric in METRICS]

    async def read(self, question: FigureQuestion) -> FigureTable:
        """Return figures. Raises ConfigurationError or StoreUnavailable."""
        return await self._reader().read(FigureQuery(*question))


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
