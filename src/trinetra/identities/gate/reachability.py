"""Warnings about a site graph in which the spatiotemporal gate cannot judge transitions."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from trinetra.identities.gate.topology import SiteGraph
from trinetra.values import CameraId


def reachability_warnings(graph: SiteGraph, cameras: Sequence[CameraId]) -> Iterator[str]:
    """Yield which cameras no route connects, or in one direction only, each with what to do."""
    yield from _unconnected(graph, cameras)
    yield from _one_way_only(graph, cameras)


def _unconnected(graph: SiteGraph, cameras: Sequence[CameraId]) -> Iterator[str]:
    unconnected = [
        camera
        for camera in cameras
        if len(cameras) > 1
        and not any(
            graph.distance(camera, other) is not None or graph.distance(other, camera) is not None
            for other in cameras
            if other != camera
        )
    ]
    if unconnected and len(unconnected) == len(cameras):
        yield (
            "topology: no routes between cameras are given, so no transition is ever impossible: "
            "see docs/topology.md, or let `trinetra topology estimate` propose them"
        )
        return
    for name in unconnected:
        yield (
            f"camera {name}: no route leads to or from it, so no transition to it is ever "
            "impossible: add an edge under topology"
        )


def _one_way_only(graph: SiteGraph, cameras: Sequence[CameraId]) -> Iterator[str]:
    for a, b in combinations(cameras, 2):
        there, back = graph.distance(a, b), graph.distance(b, a)
        if (there is None) != (back is None):
            begin, end = (a, b) if back is None else (b, a)
            yield (
                f"topology: a route leads from {begin} to {end} and none back, so transitions back "
                "are not judged: add the way back"
            )
