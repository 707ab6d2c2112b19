"""What is doubtful about a site's topology: allowed, but it will not do what one expects."""

from collections.abc import Iterator
from itertools import combinations
from math import dist

from trinetra.geometry import fit
from trinetra.identities.gate.topology import SiteGraph
from trinetra.site import Camera, Site
from trinetra.values import Role
from trinetra.wiring.site_graph import site_graph

_LESS_THAN_STRAIGHT = 0.9
_FAR_ROUND, _FAR_ROUND_M = 5.0, 50.0
_IMPLAUSIBLE_M = 1_000.0
_EXACT = 4


def topology_warnings(site: Site) -> Iterator[str]:
    """Yield what is doubtful, each with what to do."""
    people = [camera for camera in site.cameras if camera.role is not Role.VEHICLE]
    graph = site_graph(site)
    yield from _unreachable(people, graph)
    yield from _one_way_only(people, graph)
    yield from _lengths(site)
    for camera in site.cameras:
        if camera.floor:
            yield floor_report(camera)


def floor_report(camera: Camera) -> str:
    """Return how well a camera's floor points agree."""
    floor, points = fit(camera.floor), len(camera.floor)
    if points == _EXACT:
        return f"camera {camera.id}: 4 floor points always agree: a fifth would show mistakes"
    return (
        f"camera {camera.id}: {points} floor points agree to {floor.rms_m:.2f} m, point "
        f"{floor.worst + 1} least ({floor.worst_m:.2f} m)"
    )


def _unreachable(people: list[Camera], graph: SiteGraph) -> Iterator[str]:
    lonely = [
        camera.id
        for camera in people
        if len(people) > 1
        and not any(
            graph.distance(camera.camera_id, other.camera_id) is not None
            or graph.distance(other.camera_id, camera.camera_id) is not None
            for other in people
            if other is not camera
        )
    ]
    if lonely and len(lonely) == len(people):
        yield (
            "topology: no way between cameras is given, so nobody is ever too fast: see "
            "docs/topology.md, or let `trinetra topology estimate` propose them"
        )
        return
    for name in lonely:
        yield (
            f"camera {name}: no way leads to or from it, so nobody seen there is ever too fast: "
            "add an edge under topology"
        )


def _one_way_only(people: list[Camera], graph: SiteGraph) -> Iterator[str]:
    for a, b in combinations([camera.camera_id for camera in people], 2):
        there, back = graph.distance(a, b), graph.distance(b, a)
        if (there is None) != (back is None):
            begin, end = (a, b) if back is None else (b, a)
            yield (
                f"topology: a way leads from {begin} to {end} and none back, so who returns is "
                "not judged: add the way back"
            )


def _lengths(site: Site) -> Iterator[str]:
    positions = {c.id: (c.position.x_m, c.position.y_m) for c in site.cameras if c.position}
    for edge in site.topology.edges:
        ends, told = (edge.from_camera, edge.to_camera), f"{edge.distance_m:g} m"
        name = f"topology: {told} from {ends[0]} to {ends[1]}"
        straight = (
            dist(*(positions[end] for end in ends)) if positions.keys() >= set(ends) else None
        )
        if straight is not None and edge.distance_m < _LESS_THAN_STRAIGHT * straight:
            yield f"{name} is less than the straight line between their positions, {straight:.1f} m"
        elif straight is not None and edge.distance_m > _FAR_ROUND * straight + _FAR_ROUND_M:
            yield f"{name} is a long way round for positions {straight:.1f} m apart: is it right?"
        elif straight is None and edge.distance_m > _IMPLAUSIBLE_M:
            yield f"{name} is far for one shop: the unit is metres"
