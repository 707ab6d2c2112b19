"""Floor plans generated from a site file."""

import pytest

from trinetra.site import EXAMPLE, Site, site_from_text
from trinetra.twin.layout import gaps_m
from trinetra.twin.record import Recorder
from trinetra.twin.run import Twin
from trinetra.twin.scenario import Scenario
from trinetra.twin.shop import built_in_shop
from trinetra.twin.truth import CrossingTruth, QueueTruth, StayTruth, TrackTruth, VisitTruth
from trinetra.wiring.simulation import floor_plan, site_of


@pytest.fixture(scope="module")
def site() -> Site:
    return site_from_text(EXAMPLE)


def run(site: Site) -> list:
    twin = Twin(floor_plan(site), Scenario(seed=2, shoppers_per_hour=60, hours=0.5))
    return list(Recorder(twin.world).lines())


def test_views_are_those_of_the_site_file(site: Site) -> None:
    plan = floor_plan(site)
    assert [view.camera_id for view in plan.views] == [c.camera_id for c in site.cameras]
    for view, camera in zip(plan.views, site.cameras, strict=True):
        assert (view.fps, view.reads_faces, view.labels) == (
            camera.fps,
            camera.reads_faces,
            camera.labels,
        )


def test_nobody_has_to_walk_less_than_the_site_file_says(site: Site) -> None:
    gaps = gaps_m(floor_plan(site))
    for edge in site.topology.edges:
        pair = (edge.from_camera, edge.to_camera)
        gap = gaps.get(pair, gaps.get(pair[::-1]))
        assert gap is None or gap >= edge.distance_m


def test_people_cross_the_line_come_in_stop_at_the_shelf_and_queue(site: Site) -> None:
    truth = run(site)
    visits = [v for v in truth if isinstance(v, VisitTruth) and v.outcome != "worked"]
    whole = {v.visit_id for v in visits if v.is_whole}
    doorstep = [c for c in truth if isinstance(c, CrossingTruth) and c.line_id == "doorstep"]
    for direction in ("in", "out"):
        ways = [c.visit_id for c in doorstep if c.direction == direction]
        assert whole <= set(ways)
        assert len(ways) == len(set(ways))
    assert {s.zone_id for s in truth if isinstance(s, StayTruth)} == {
        "coffee-shelf",
        "till-queue",
        "till-desk",
    }
    assert {t.camera_id for t in truth if isinstance(t, TrackTruth)} == {
        "door",
        "welcome",
        "aisle",
        "till",
    }
    assert any(isinstance(q, QueueTruth) and q.end == "served" for q in truth)


@pytest.mark.parametrize(
    "line",
    [
        ((0.05, 0.6), (0.95, 0.6)),
        ((0.95, 0.6), (0.05, 0.6)),
        ((0.47, 0.6), (0.47, 1.0)),
        ((0.5, 1.0), (0.5, 0.6)),
        ((0.3, 0.9), (0.7, 0.5)),
    ],
)
def test_whichever_way_a_line_is_drawn_people_come_in_over_it(line: tuple) -> None:
    a, b = line
    text = f"""
site: one-door
timezone: UTC
cameras:
  - id: door
    role: entrance
    source: {{url: rtsp://camera/1}}
    lines: [{{id: step, a: [{a[0]}, {a[1]}], b: [{b[0]}, {b[1]}]}}]
  - {{id: shelf, role: tracking, source: {{url: rtsp://camera/2}}}}
"""
    truth = run(site_from_text(text))
    whole = [v.visit_id for v in truth if isinstance(v, VisitTruth) and v.is_whole]
    ins = [c.visit_id for c in truth if isinstance(c, CrossingTruth) and c.direction == "in"]
    shoppers = {v.visit_id for v in truth if isinstance(v, VisitTruth) and v.outcome != "worked"}
    assert len(ins) == len(set(ins))
    assert set(whole) & shoppers <= set(ins)
    assert len(ins) > 10


@pytest.mark.parametrize("role", ["face", "tracking", "billing", "vehicle", "entrance"])
def test_a_site_of_a_single_camera_runs(role: str) -> None:
    text = f"""
site: single
timezone: UTC
cameras: [{{id: only, role: {role}, source: {{url: rtsp://camera/1}}}}]
"""
    truth = run(site_from_text(text))
    assert any(isinstance(line, VisitTruth) for line in truth)


def test_the_built_in_shop_as_a_site_has_the_same_cameras_and_passable_distances() -> None:
    plan = built_in_shop()
    site = site_of(plan)
    assert {camera.role for camera in site.cameras} == set(type(site.cameras[0].role))
    for camera, view in zip(site.cameras, plan.views, strict=True):
        assert [line.id for line in camera.lines] == [line.line_id for line in view.lines]
        assert [zone.id for zone in camera.zones] == [zone.zone_id for zone in view.zones]
    assert site.topology.edges


def test_the_tills_of_a_site_file_keep_their_ids_and_their_places(site: Site) -> None:
    (till,) = floor_plan(site).tills
    assert till.till_id == "till-1"
    queues = [line for line in run(site) if isinstance(line, QueueTruth)]
    assert {queue.till_id for queue in queues} - {None} == {"till-1"}


def test_a_view_of_several_places_of_service_has_as_many_tills() -> None:
    text = EXAMPLE.replace(
        "tills: [till-1]\n        polygon: [[0.6, 0.4], [1.0, 0.4], [1.0, 1.0], [0.6, 1.0]]",
        "tills: [till-1]\n        polygon: [[0.6, 0.4], [0.8, 0.4], [0.8, 1.0], [0.6, 1.0]]\n"
        "      - {id: other, kind: till, tills: [till-7], "
        "polygon: [[0.8, 0.4], [1.0, 0.4], [1.0, 1.0], [0.8, 1.0]]}",
    )
    assert [till.till_id for till in floor_plan(site_from_text(text)).tills] == ["till-1", "till-7"]


def test_the_built_in_shop_as_a_site_names_the_tills_of_its_zones() -> None:
    plan = built_in_shop()
    site = site_of(plan)
    named = {zone.tills for camera in site.cameras for zone in camera.zones if zone.kind == "till"}
    assert named == {(till.till_id,) for till in plan.tills}
    assert floor_plan(site).tills[2].till_id == plan.tills[2].till_id
