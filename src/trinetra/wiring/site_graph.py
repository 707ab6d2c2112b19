"""Turns a site file into the graph of the spatiotemporal gate, and warns about doubtful ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, get_args

from trinetra.geometry import fit
from trinetra.identities.gate.reachability import reachability_warnings
from trinetra.identities.gate.topology import SiteGraph, build_graph
from trinetra.opening_hours import OpeningHours, OpenSpan
from trinetra.site.fields import TimeOfDay, Weekday
from trinetra.site.plausibility import plausibility_warnings
from trinetra.site.schema import Site
from trinetra.values import CameraId, Role

_WEEKDAYS = get_args(Weekday)
_DAY_MIN = 24 * 60


def site_graph(site: Site) -> SiteGraph:
    """Return the graph of the spatiotemporal gate."""
    topology = site.topology
    edges = [
        (edge.one_way, (CameraId(edge.from_camera), CameraId(edge.to_camera), edge.distance_m))
        for edge in topology.edges
    ]
    graph = build_graph(
        [camera.camera_id for camera in site.cameras],
        [edge for one_way, edge in edges if not one_way],
        one_way=[edge for one_way, edge in edges if one_way],
        positions_m={
            camera.camera_id: (camera.position.x_m, camera.position.y_m)
            for camera in site.cameras
            if camera.position
        },
        overlaps=[(CameraId(a), CameraId(b)) for a, b in topology.overlaps],
    )
    return replace(
        graph,
        floors={camera.camera_id: fit(camera.floor) for camera in site.cameras if camera.floor},
        hours=opening_hours(site),
        limit_mps=topology.max_walking_speed_mps,
        clock_skew_s=topology.clock_skew_s,
    )


def topology_warnings(site: Site) -> Iterator[str]:
    """Yield warnings about a topology that is allowed but will not work as expected."""
    people = [camera.camera_id for camera in site.cameras if camera.role is not Role.VEHICLE]
    yield from reachability_warnings(site_graph(site), people)
    yield from plausibility_warnings(site)


def opening_hours(site: Site) -> OpeningHours | None:
    """Return the opening hours, None if the site file has none."""
    return weekly(site.opening_hours, site.timezone)


class WeeklySpan(Protocol):
    """A span of time on some days of the week, as the site file writes it."""

    @property
    def days(self) -> tuple[Weekday, ...]:
        """Days on which it begins."""

    @property
    def opens(self) -> TimeOfDay:
        """Time at which it begins."""

    @property
    def closes(self) -> TimeOfDay:
        """Time at which it ends; on the next day if it is not after ``opens``."""


def weekly(written: Sequence[WeeklySpan], timezone: str) -> OpeningHours | None:
    """Return spans of the site file as hours of a week, None if there are none."""
    spans = tuple(
        OpenSpan(_WEEKDAYS.index(day), opens_min, closes_min + (closes_min <= opens_min) * _DAY_MIN)
        for span in written
        for opens_min, closes_min in [(_minutes(span.opens), _minutes(span.closes))]
        for day in span.days
    )
    return OpeningHours(spans, timezone) if spans else None


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return 60 * int(hours) + int(minutes)
