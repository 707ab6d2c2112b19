"""``trinetra topology`` and what ``check`` says: ways as written, and as people walk."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from trinetra.commands.application import app
from trinetra.events.codec import encode
from trinetra.events.schema import (
    Evidence,
    IdentityEvent,
    Thresholds,
    TrackPosition,
    TracksEvent,
)
from trinetra.site import Site, SiteInvalid, site_from_text
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId, TrackId
from trinetra.wiring.site_graph import site_graph, topology_warnings

GUIDE = Path(__file__).parents[2] / "docs" / "topology.md"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVIDENCE = Evidence(3, 3, 80.0, 0.8, "m", Thresholds(0.72, 0.03, 0.3, 32))


def guide() -> str:
    [found] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(found)


def shop(**topology: Any) -> Site:
    cameras = [{"id": n, "role": "face", "source": {"file": "x.mp4"}} for n in ("a", "b", "c")]
    return Site.model_validate(
        {"site": "shop", "timezone": "UTC", "cameras": cameras, "topology": topology}
    )


def test_the_guides_example_is_a_site_whose_numbers_hold() -> None:
    graph = site_graph(site_from_text(guide()))
    door, till = CameraId("door"), CameraId("till")
    assert graph.distance(door, till) == 22
    assert graph.distance(till, door) == 9
    assert graph.hours is not None
    assert graph.hours.closed_between(NOON, NOON + timedelta(hours=9))
    assert not graph.hours.closed_between(NOON, NOON + timedelta(hours=1))
    place = graph.place(till, (45, 85, 55, 95), (100, 100))
    assert place is not None
    assert place[:2] == pytest.approx((14, 2), abs=0.1)


def test_a_floor_that_cannot_be_is_refused_with_camera_line_and_reason() -> None:
    bent = guide().replace("[[0.72, 0.40]", "[[0.28, 0.40]").replace("[16.0, 9.0]", "[12.0, 9.0]")
    with pytest.raises(SiteInvalid, match=r"cameras\[2\]\.floor: camera till: .*straight line"):
        site_from_text(bent)


@pytest.mark.parametrize(
    ("topology", "word"),
    [
        ({}, "no routes between cameras are given"),
        ({"edges": [{"from": "a", "to": "b", "distance_m": 4.0}]}, "camera c: no route leads"),
        (
            {
                "edges": [
                    {"from": "a", "to": "b", "distance_m": 4.0},
                    {"from": "b", "to": "c", "distance_m": 4.0, "one_way": True},
                ]
            },
            "leads from b to c and none back",
        ),
        ({"edges": [{"from": "a", "to": "b", "distance_m": 5000.0}]}, "the unit is metres"),
    ],
)
def test_what_is_doubtful_is_said(topology: dict[str, Any], word: str) -> None:
    assert any(word in text for text in topology_warnings(shop(**topology)))


def test_an_edge_shorter_than_the_straight_line_is_doubted() -> None:
    site = shop(edges=[{"from": "a", "to": "b", "distance_m": 4.0}]).model_dump(mode="json")
    for camera, x_m in zip(site["cameras"], (0.0, 10.0, 20.0), strict=True):
        camera["position"] = {"x_m": x_m, "y_m": 0.0}
    assert any(
        "less than the straight line" in text
        for text in topology_warnings(Site.model_validate(site))
    )


def test_show_prints_every_way(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(guide())
    shown = CliRunner().invoke(app, ["topology", "show", str(path), "--json"])
    ways = {(w["from"], w["to"]): w for w in json.loads(shown.stdout)["ways"]}
    assert ways["door", "till"]["route"] == ["door", "welcome", "till"]
    assert ways["till", "door"]["least_s"] == 3.6


# --- suggest ----------------------------------------------------------------------------------


def seen(who: int, camera: str, begin_s: float, end_s: float) -> Iterator[bytes]:
    """Yield what the resolver says of somebody in view from then to then."""
    track, customer = TrackId(f"trk-{who}-{camera}"), CustomerId(f"cus_{who}")
    begin, end = (NOON + timedelta(seconds=s) for s in (begin_s, end_s))
    site_id, camera_id = SiteId("shop"), CameraId(camera)
    yield encode(
        IdentityEvent(
            event_id=EventId(f"idn-{track}"),
            captured_at=begin + (end - begin) / 2,
            track_id=track,
            status="known",
            reasons=("similar",),
            evidence=EVIDENCE,
            track_started_at=begin,
            customer_id=customer,
            kind=IdentityKind.ANONYMOUS,
            site_id=site_id,
            camera_id=camera_id,
        )
    )
    position = TrackPosition(track, "person", (0, 0, 9, 9), customer, IdentityKind.ANONYMOUS)
    yield encode(
        TracksEvent(
            event_id=EventId(f"trs-{track}"),
            captured_at=end,
            frame_seq=1,
            frame_width=100,
            frame_height=100,
            tracks=(position,),
            site_id=site_id,
            camera_id=camera_id,
        )
    )


def walks(path: Path) -> Path:
    """Write a day: a and b 14 m apart, b and c overlap, and people linger between c and d."""
    lines: list[bytes] = []
    for who in range(20):
        t = 600.0 * who
        gone_s = 10 + who % 3
        lines += seen(who, "a", t, t + 5)
        lines += seen(who, "b", t + 5 + gone_s, t + 30)
        lines += seen(who, "c", t + 26, t + 40)
        lines += seen(who, "d", t + 45 + 20 * who, t + 45 + 20 * who + 5)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_a_day_of_walks_proposes_ways_overlaps_and_what_to_measure(tmp_path: Path) -> None:
    file = walks(tmp_path / "day.jsonl")
    told = CliRunner().invoke(app, ["topology", "estimate", str(file), "--json"])
    found = {(s["a"], s["b"]): s for s in json.loads(told.stdout)["estimates"]}
    assert found["a", "b"]["distance_m"] == pytest.approx(14, abs=0.5)
    assert found["b", "c"]["overlap"]
    assert not found["c", "d"]["sure"]
    assert {s["there"] + s["back"] + s["seen_together"] for s in found.values()} == {20}


def test_the_proposal_can_be_pasted_into_a_site_file(tmp_path: Path) -> None:
    file = walks(tmp_path / "day.jsonl")
    told = CliRunner().invoke(app, ["topology", "estimate", str(file)]).stdout
    cameras = "".join(f"  - {{id: {n}, role: face, source: {{file: x.mp4}}}}\n" for n in "abcd")
    block = told[told.index("topology:") :]
    site = site_from_text(f"site: shop\ntimezone: UTC\ncameras:\n{cameras}{block}")
    assert [(e.from_camera, e.to_camera) for e in site.topology.edges] == [("a", "b")]
    assert site.topology.overlaps == (("b", "c"),)


def test_a_day_without_walks_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in seen(1, "a", 0, 5)))
    outcome = CliRunner().invoke(app, ["topology", "estimate", str(file)])
    assert outcome.exit_code == 1
    assert "nothing to propose" in str(outcome.exception)
