"""What figures depend on in a site: cameras, opening hours, and the state of its setup."""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from trinetra.insights.figures import FigureReader, FigureSite
from trinetra.insights.metrics.catalog import METRICS
from trinetra.insights.metrics.definition import Scope
from trinetra.ports import Clock, FigureStore, SiteStore
from trinetra.settings import Settings
from trinetra.site import Site
from trinetra.site.cameras import Camera
from trinetra.values import CameraId, Role, derive_id
from trinetra.wiring.receiver import SiteReceiver
from trinetra.wiring.site_graph import opening_hours


def figure_reader(site: Site, store: SiteStore, clock: Clock) -> FigureReader:
    """Return the reader of a site's figures; those of audited lines have an interval."""
    return FigureReader(store, figure_site(site), clock, store)


def figure_site(site: Site) -> FigureSite:
    """Return what the figures of a site depend on."""
    cameras: Mapping[Scope, frozenset[CameraId]] = {
        "site": _ids(site.cameras),
        "faces": _ids(c for c in site.cameras if c.reads_faces),
        "vehicles": _ids(c for c in site.cameras if c.role is Role.VEHICLE),
        "lines": _ids(c for c in site.cameras if c.lines and c.role is not Role.VEHICLE),
        "tills": _ids(c for c in site.cameras if any(zone.tills for zone in c.zones)),
        "zones": _ids(c for c in site.cameras if c.zones and c.role is not Role.VEHICLE),
    }
    return FigureSite(site.site_id, ZoneInfo(site.timezone), cameras, opening_hours(site))


async def prepare_figures(store: FigureStore, site: Site, settings: Settings, clock: Clock) -> None:
    """Bring the figures of a store in line with site and metrics; raises StoreUnavailable."""
    setup = setup_of(site, {"profile": settings.profile})
    await store.prepare_figures(ZoneInfo(site.timezone), setup, clock.now())


def live_figures(store: FigureStore, settings: Settings, clock: Clock) -> SiteReceiver:
    """Return what marks in the figures that the site file has changed."""

    async def change(site: Site) -> None:
        await prepare_figures(store, site, settings, clock)

    return SiteReceiver("figures", change)


def setup_of(site: Site, models: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return digests of all that figures depend on, by what it is and its name."""
    matching = site.policies.matching.model_dump_json()
    return {
        **{("geometry", name): derive_id("state", *shape) for name, shape in _shapes(site)},
        **{("model", task): derive_id("state", version) for task, version in models.items()},
        ("threshold", "matching"): derive_id("state", matching),
        **{("definition", m.name): derive_id("state", m.version) for m in METRICS},
    }


def _shapes(site: Site) -> Iterator[tuple[str, tuple[object, ...]]]:
    for camera in site.cameras:
        if camera.floor:
            yield camera.id, camera.floor
        for line in camera.lines:
            yield f"{camera.id}/{line.id}", (line.a, line.b)
        for zone in camera.zones:
            yield f"{camera.id}/{zone.id}", (*zone.polygon, zone.min_dwell_s)


def _ids(cameras: "Iterator[Camera] | tuple[Camera, ...]") -> frozenset[CameraId]:
    return frozenset(camera.camera_id for camera in cameras)
