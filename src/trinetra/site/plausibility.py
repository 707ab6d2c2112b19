"""Warnings about cameras, distances and floor points that are allowed but implausible."""

from collections.abc import Iterator
from math import dist

from trinetra.geometry import fit
from trinetra.site.cameras import Camera
from trinetra.site.line_checks import line_warnings
from trinetra.site.schema import Site
from trinetra.site.sources import StreamSource
from trinetra.values import Role

_MIN_OF_STRAIGHT = 0.9
_DETOUR_FACTOR, _DETOUR_M = 5.0, 50.0
_IMPLAUSIBLE_M = 1_000.0
_EXACT_POINTS = 4


def plausibility_warnings(site: Site) -> Iterator[str]:
    """Yield doubtful policies, cameras and distances, and how well floor points agree."""
    yield from _forgotten_visits(site)
    yield from _cameras_without_counts(site)
    yield from _repeated_addresses(site)
    yield from _lengths(site)
    yield from line_warnings(site)
    for camera in site.cameras:
        if camera.floor:
            yield _floor_report(camera)


def _cameras_without_counts(site: Site) -> Iterator[str]:
    for camera in site.cameras:
        if camera.role is Role.ENTRANCE and not camera.lines:
            yield (
                f"camera {camera.id}: an entrance without a line counts no one who comes in or "
                "goes out: add `lines`, or change the role"
            )
        if camera.role is Role.BILLING and all(zone.kind != "queue" for zone in camera.zones):
            yield (
                f"camera {camera.id}: a till without a zone of kind queue measures no waiting: "
                "add one to `zones`, or change the role"
            )
        for zone in camera.zones:
            if zone.kind == "queue" and not zone.tills:
                yield (
                    f"camera {camera.id}: queue {zone.id} names no till: stays in it are counted, "
                    "but no waits: add `tills`, and a zone of kind till for each"
                )


def _repeated_addresses(site: Site) -> Iterator[str]:
    first: dict[str, str] = {}
    for camera in site.cameras:
        if not isinstance(camera.source, StreamSource):
            continue
        url = camera.source.url
        if url in first:
            yield (
                f"cameras {first[url]} and {camera.id} have one address: everyone is counted "
                "twice, if it is not a mistake"
            )
        first.setdefault(url, camera.id)


def _forgotten_visits(site: Site) -> Iterator[str]:
    ttl_s, gap_s = site.policies.registry.ttl_s, site.policies.stays.visit_gap_s
    if ttl_s < gap_s:
        yield (
            f"policies: registry.ttl_s {ttl_s:g} is less than stays.visit_gap_s {gap_s:g}: where "
            "a visitor was is forgotten within the visit, and impossible walks are not noticed"
        )


def _floor_report(camera: Camera) -> str:
    """Return how well a camera's floor points agree."""
    floor, points = fit(camera.floor), len(camera.floor)
    if points == _EXACT_POINTS:
        return f"camera {camera.id}: 4 floor points always agree: a fifth would show mistakes"
    return (
        f"camera {camera.id}: {points} floor points agree to {floor.rms_m:.2f} m, point "
        f"{floor.worst + 1} least ({floor.worst_m:.2f} m)"
    )


def _lengths(site: Site) -> Iterator[str]:
    positions = {c.id: (c.position.x_m, c.position.y_m) for c in site.cameras if c.position}
    for edge in site.topology.edges:
        ends, told = (edge.from_camera, edge.to_camera), f"{edge.distance_m:g} m"
        name = f"topology: {told} from {ends[0]} to {ends[1]}"
        straight = (
            dist(*(positions[end] for end in ends)) if positions.keys() >= set(ends) else None
        )
        if straight is not None and edge.distance_m < _MIN_OF_STRAIGHT * straight:
            yield f"{name} is less than the straight line between their positions, {straight:.1f} m"
        elif straight is not None and edge.distance_m > _DETOUR_FACTOR * straight + _DETOUR_M:
            yield f"{name} is a long way round for positions {straight:.1f} m apart: is it right?"
        elif straight is None and edge.distance_m > _IMPLAUSIBLE_M:
            yield f"{name} is far for one shop: the unit is metres"
