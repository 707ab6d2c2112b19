"""Warnings about a topology: which transitions the gate cannot judge."""

from trinetra.identities.gate.reachability import reachability_warnings
from trinetra.identities.gate.topology import build_graph
from trinetra.values import CameraId

A, B, C, D = (CameraId(name) for name in "abcd")


def test_routes_in_both_directions_between_all_cameras_are_no_reason_to_warn() -> None:
    graph = build_graph([A, B, C], [(A, B, 4.0), (B, C, 4.0)])
    assert list(reachability_warnings(graph, [A, B, C])) == []


def test_a_single_camera_needs_no_route() -> None:
    assert list(reachability_warnings(build_graph([A], []), [A])) == []


def test_without_any_route_there_is_one_warning_for_the_whole_site() -> None:
    [warning] = reachability_warnings(build_graph([A, B], []), [A, B])
    assert "no routes between cameras" in warning


def test_each_camera_without_a_route_is_named_and_no_other() -> None:
    graph = build_graph([A, B, C, D], [(A, B, 4.0)])
    warnings = list(reachability_warnings(graph, [A, B, C, D]))
    assert [warning.split(":")[0] for warning in warnings] == ["camera c", "camera d"]


def test_a_one_way_route_is_told_in_its_direction_whatever_the_order_of_the_cameras() -> None:
    for cameras in ([A, B], [B, A]):
        graph = build_graph(cameras, [], one_way=[(B, A, 4.0)])
        [warning] = reachability_warnings(graph, cameras)
        assert "from b to a and none back" in warning
