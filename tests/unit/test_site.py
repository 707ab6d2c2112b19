"""The site file: valid input, defaults, and messages about mistakes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.servers.clips import jpeg

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.video.sources import open_source
from trinetra.detections.vision.picture import PictureLimits, check_header
from trinetra.errors import ConfigurationError
from trinetra.insights.config import Zone as InsightZone
from trinetra.site import (
    EXAMPLE,
    ROLE_DEFAULTS,
    FileSource,
    FolderSource,
    Problem,
    Site,
    SiteInvalid,
    StreamSource,
    load_site,
    schema_text,
    site_from_text,
)
from trinetra.site.document import read_document
from trinetra.site.plausibility import plausibility_warnings
from trinetra.site.shapes import polygon_fault
from trinetra.site.sources import SOURCES, CameraSource
from trinetra.values import EPOCH, Role
from trinetra.wiring.config import ingest_plan, source_spec

REPOSITORY = Path(__file__).parents[2]
HEAD = "site: shop\ntimezone: Europe/Berlin\ncameras:\n"
CAMERA = "  - {id: till, role: billing, source: {file: a.mp4}}\n"
ZONES = [{"id": "z", "polygon": [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]}]


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(SiteInvalid) as caught:
        site_from_text(text)
    return list(caught.value.problems)


def only_problem(text: str) -> Problem:
    (problem,) = problems_of(text)
    return problem


def is_answered(text: str) -> bool:
    """Return whether the text yields a site or a list of problems, and no other error."""
    try:
        return bool(site_from_text(text).cameras)
    except SiteInvalid as invalid:
        return bool(invalid.problems)


def camera(**extra: Any) -> dict[str, Any]:
    return {"id": "till", "role": "billing", "source": {"file": "a.mp4"}, **extra}


def site_with(*cameras: dict[str, Any], **extra: Any) -> str:
    return json.dumps(
        {"site": "shop", "timezone": "Europe/Berlin", "cameras": list(cameras), **extra}, indent=1
    )


def zone(*polygon: tuple[float, float]) -> str:
    return site_with(camera(zones=[{"id": "z", "polygon": polygon}]))


def test_the_example_loads_and_has_a_camera_of_every_role() -> None:
    site = site_from_text(EXAMPLE)
    assert {c.role for c in site.cameras} == set(Role)


def test_every_role_has_defaults_within_its_own_limits() -> None:
    for role in Role:
        loaded = site_from_text(site_with(camera(role=role.value))).cameras[0]
        defaults = ROLE_DEFAULTS[role]
        assert loaded.fps_floor < loaded.fps == defaults.fps < loaded.fps_ceiling
        assert (loaded.reads_faces, loaded.labels) == (defaults.reads_faces, defaults.labels)


@pytest.mark.parametrize("role", ["entrance", "face", "billing"])
def test_roles_that_meet_people_face_to_face_read_faces(role: str) -> None:
    assert ROLE_DEFAULTS[Role(role)].reads_faces


def test_a_camera_overrides_what_its_role_sets() -> None:
    own = camera(fps=20, reads_faces=False, labels=["person", "car"], frame_side=320)
    loaded = site_from_text(site_with(own)).cameras[0]
    assert (loaded.fps, loaded.fps_ceiling, loaded.frame_side) == (20, 20, 320)
    assert not loaded.reads_faces
    assert loaded.labels == {"person", "car"}


def test_no_camera_has_tiles_unless_it_says_so() -> None:
    assert site_from_text(site_with(camera())).cameras[0].tiles == 1
    assert site_from_text(site_with(camera(tiles=3))).cameras[0].tiles == 3


@pytest.mark.parametrize("count", [0, 5, 2.0, "2"])
def test_tiles_are_a_whole_number_from_1_to_4(count: object) -> None:
    problem = only_problem(site_with(camera(tiles=count)))
    assert problem.path == "cameras[0].tiles"


def test_the_kind_of_source_follows_from_its_key() -> None:
    sources = [{"url": "http://h/v.mjpg"}, {"file": "a.mp4", "loop": True}, {"images": "pics"}]
    cameras = [camera(id=f"c{i}", source=source) for i, source in enumerate(sources)]
    loaded = [type(c.source) for c in site_from_text(site_with(*cameras)).cameras]
    assert loaded == [StreamSource, FileSource, FolderSource]


def test_relative_paths_start_at_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + CAMERA)
    source = load_site(path).cameras[0].source
    assert isinstance(source, FileSource)
    assert source.file == tmp_path / "a.mp4"


def test_a_site_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValidationError):
        site_from_text(EXAMPLE).site = "other"


def test_a_loaded_site_survives_a_round_trip_through_plain_data() -> None:
    site = site_from_text(EXAMPLE)
    assert Site.model_validate(site.model_dump(mode="json")) == site


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "site: Shop\n"
        "timezone: Europe/Berln\n"
        "cameras:\n"
        "  - id: door\n"
        "    role: entrace\n"
        "    source: {url: ftp://h}\n"
        "  - id: door\n"
        "    role: face\n"
        "    source: {file: a.mp4}\n"
        "    zones: [{id: z, polygon: [[0, 0], [1, 1]]}]\n"
        "topology:\n"
        "  edges:\n"
        "    - {from: door, to: till, distance_m: 0}\n"
    )
    found = [(p.line, p.column, p.path) for p in problems_of(text)]
    assert found == [
        (1, 7, "site"),
        (2, 11, "timezone"),
        (5, 11, "cameras[0].role"),
        (6, 19, "cameras[0].source.url"),
        (7, 9, "cameras[1].id"),
        (10, 30, "cameras[1].zones[0].polygon"),
        (13, 24, "topology.edges[0].to"),
        (13, 42, "topology.edges[0].distance_m"),
    ]


def test_a_problem_reads_like_a_compiler_message() -> None:
    problem = only_problem(HEAD + CAMERA + "cameraz: 1\n")
    assert str(problem).startswith("site.yaml:5:1: cameraz: unknown key cameraz")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (site_with(camera(role="biling")), "did you mean billing?"),
        (site_with(camera(), timezone="europe/berlin"), "did you mean Europe/Berlin?"),
        (site_with(camera(), timezone="Mars/Olympus"), "a place like Europe/Berlin"),
        (site_with(camera(zonse=[])), "did you mean zones?"),
        (site_with(camera(), policies={"matching": {"similarty": 0.5}}), "did you mean similarity"),
        (site_with(camera(source={"url": "rtps://h"})), "did you mean rts"),
        (site_with(camera(source={"link": "rtsp://h"})), "source: {url:"),
        (site_with(camera(source="rtsp://h")), "source: {url:"),
        (site_with(camera(fps=0)), "more than 0, at most 60"),
        (site_with(camera(fps="5")), "without quotes"),
        (site_with(camera(id="Till 2")), "small letters"),
        (site_with(camera(), policies={"matching": {"similarity": 72}}), "at least 0, at most 1"),
        (site_with({"id": "till", "role": "face"}), "add source"),
        (
            site_with(
                camera(),
                opening_hours=[{"days": ["mon"], "opens": "09:00", "closes": "25:00"}],
            ),
            "write HH:MM",
        ),
        (
            site_with(camera(), topology={"edges": [{"from": "til", "to": "x", "distance_m": 1}]}),
            "did you mean till?",
        ),
    ],
)
def test_a_problem_comes_with_a_hint_that_helps(text: str, hint: str) -> None:
    assert any(hint in f"{p.message} {p.hint}" for p in problems_of(text)), problems_of(text)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a\n- b\n", 1, "not a mapping"),
        ("just words\n", 1, "not a mapping"),
        ("site: shop\n\ttimezone: x\n", 2, "a tab"),
        ("site: [shop\ncameras: x\n", 2, "a list is not closed"),
        ("site: {a: 1\ncameras: x\n", 2, "a mapping is not closed"),
        ("site: 'shop\n", 2, "ends inside a value"),
        ("site: shop\n  timezone: x\n", 2, "a key is not allowed here"),
        ("site: shop\n---\nsite: other\n", 2, "a second document"),
        ("site: shop\ntimezone: \x07\n", 2, "a control character"),
        ("a:\n  b: " + "[" * 2000, 2, "nested too deeply"),
        ("a: &a [1, *a]\n", 1, "too many or too deeply"),
    ],
)
def test_text_that_is_no_site_file_is_refused_where_it_goes_wrong(
    text: str, line: int, message: str
) -> None:
    problem = only_problem(text)
    assert (problem.line, message in problem.message) == (line, True), problem


def test_aliases_cannot_blow_up_the_memory() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too many" in problems_of("\n".join(levels))[0].message


def test_a_key_given_twice_is_told_at_the_second_place() -> None:
    problem = only_problem(HEAD + CAMERA + "site: again\n")
    assert (problem.line, problem.message) == (5, "duplicate key")


def test_bytes_that_are_not_utf8_are_told_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"site: shop\ntimezone: caf\xe9\n")
    with pytest.raises(SiteInvalid) as caught:
        load_site(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.message) == (2, 14, "not UTF-8 text")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + CAMERA).encode())
    assert load_site(path).site == "shop"


@pytest.mark.parametrize("kind", ["missing", "folder", "huge"])
def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "site.yaml"
    if kind == "folder":
        path.mkdir()
    if kind == "huge":
        path.write_bytes(b" " * 1_000_001)
    with pytest.raises(ConfigurationError, match=r"site\.yaml:1:1: "):
        load_site(path)


@pytest.mark.parametrize(
    "source",
    [
        {"url": "rtsp://admin:hunter2@192.168.1.2/x"},
        {"url": "rtsp://hunter2@192.168.1.2/x"},
        {"url": "rtsp://h/x", "password": "hunter2"},
        {"url": "rtsp://h/x", "username_env": "USER", "password_env": "hunter2"},
        {"url": "rtsp://h:hunter2/x"},
        {"url": "hunter2"},
        {"file": "a.mp4", "loop": "hunter2"},
        {"rtsp://admin:hunter2@192.168.1.2/x": 1},
        ["hunter2"],
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(source: object) -> None:
    with pytest.raises(SiteInvalid) as caught:
        site_from_text(site_with(camera(source=source)))
    told = "\n".join([str(caught.value), repr(caught.value), repr(caught.value.problems)])
    assert "hunter2" not in told


@pytest.mark.parametrize("value", ["*hunter2", "!hunter2 x", "[hunter2", "'hunter2", "@hunter2"])
def test_a_secret_that_breaks_the_syntax_is_never_repeated(value: str) -> None:
    found = problems_of(HEAD + f"  - {{id: c, role: face, source: {{url: {value}}}}}\n")
    assert all("hunter2" not in str(problem) for problem in found)


def test_credentials_come_from_the_environment_by_name() -> None:
    source = {"url": "rtsp://h/x", "username_env": "CAM_USER", "password_env": "CAM_PASSWORD"}
    text, environ = site_with(camera(source=source)), {"CAM_USER": "u", "CAM_PASSWORD": "hunter2"}
    loaded = site_from_text(text, environ=environ).cameras[0].source
    assert isinstance(loaded, StreamSource)
    credentials = loaded.credentials(environ)
    assert credentials is not None
    assert (credentials.username, credentials.password.get_secret_value()) == ("u", "hunter2")
    assert "hunter2" not in repr(credentials)


def test_a_camera_without_credentials_needs_none() -> None:
    assert StreamSource(url="rtsp://h/x").credentials({}) is None


def test_an_unset_variable_is_a_problem_only_where_the_environment_counts() -> None:
    source = {"url": "rtsp://h/x", "username_env": "CAM_USER", "password_env": "CAM_PASSWORD"}
    text = site_with(camera(source=source))
    assert site_from_text(text).site == "shop"
    with pytest.raises(SiteInvalid, match="CAM_PASSWORD is not set"):
        site_from_text(text, environ={"CAM_USER": "u"})
    with pytest.raises(ConfigurationError, match="CAM_USER and CAM_PASSWORD"):
        StreamSource.model_validate(source).credentials({})


def test_what_is_shown_of_an_address_has_no_path_or_query() -> None:
    source = StreamSource(url="rtsp://h:554/user=admin&password=hunter2?token=hunter2")
    assert source.shown == "rtsp://h:554/…"


@pytest.mark.parametrize("url", ["rtsp://", "rtsp://h:99999/x", "rtsp://[::1", "rtsp://h/a b", ""])
def test_an_address_that_cannot_be_read_is_refused(url: str) -> None:
    assert only_problem(site_with(camera(source={"url": url}))).path == "cameras[0].source.url"


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_every_scheme_that_cameras_speak_is_accepted(scheme: str) -> None:
    source = {"url": f"{scheme}://[2001:db8::1]:8554/live?channel=1"}
    assert site_from_text(site_with(camera(source=source))).site == "shop"


def test_duplicate_ids_are_told_for_cameras_zones_and_lines() -> None:
    square = [[0, 0], [1, 0], [1, 1]]
    one = camera(
        zones=[{"id": "z", "polygon": square}, {"id": "z", "polygon": square}],
        lines=[{"id": "l", "a": [0, 0], "b": [1, 1]}, {"id": "l", "a": [0, 0], "b": [1, 0]}],
    )
    paths = [p.path for p in problems_of(site_with(one, camera()))]
    assert paths == ["cameras[0].zones[1].id", "cameras[0].lines[1].id", "cameras[1].id"]


def test_two_cameras_may_use_the_same_zone_id() -> None:
    zones = [{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1]]}]
    text = site_with(camera(zones=zones), camera(id="other", zones=zones))
    assert len(site_from_text(text).cameras) == 2


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ({"edges": [{"from": "a", "to": "c", "distance_m": 1}]}, "no camera has this id"),
        ({"edges": [{"from": "a", "to": "a", "distance_m": 1}]}, "an edge from a camera to itself"),
        (
            {
                "edges": [
                    {"from": "a", "to": "b", "distance_m": 1},
                    {"from": "b", "to": "a", "distance_m": 2},
                ]
            },
            "these two cameras have an edge already",
        ),
        ({"edges": [{"from": "a", "to": "b", "distance_m": 10_001}]}, "less than or equal"),
        ({"edges": [{"from": "a", "to": "b", "distance_m": -1}]}, "greater than"),
        ({"edges": [{"from": "a", "to": "b", "distance_m": float("nan")}]}, "should be a "),
        ({"overlaps": [["a", "x"]]}, "no camera has this id"),
        ({"overlaps": [["a", "a"]]}, "an overlap from a camera to itself"),
        ({"overlaps": [["a", "b"], ["b", "a"]]}, "these two cameras have an overlap already"),
        ({"overlaps": [["a"]]}, "an entry is missing"),
        ({"max_walking_speed_mps": 0}, "greater than"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(topology: dict[str, Any], message: str) -> None:
    text = site_with(camera(id="a"), camera(id="b"), topology=topology)
    assert message in only_problem(text).message


def test_a_site_made_in_code_is_checked_like_a_file() -> None:
    document = json.loads(site_with(camera(), camera()))
    with pytest.raises(ValidationError, match="another camera has this id"):
        Site.model_validate(document)


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([(0, 0), (1, 1)], "too few"),
        ([(0, 0), (1, 0), (1, 1), (0, 0)], "repeats the first"),
        ([(0, 0), (1, 0), (1, 0), (1, 1)], "two corners are the same"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "cross or touch"),
        ([(0, 0), (0.5, 0.5), (1, 1)], "cross or touch"),
        ([(0, 0), (1e-4, 0), (0, 1e-4)], "no area"),
        ([(0, 0), (1.1, 0), (1, 1)], "less than or equal to 1"),
        ([(0, 0), (1, -0.1), (1, 1)], "greater than or equal to 0"),
        ([(0.01 * i, 0.0001 * i * i) for i in range(65)], "too many"),
    ],
)
def test_a_polygon_that_cannot_be_a_zone_is_refused(
    polygon: list[tuple[float, float]], message: str
) -> None:
    assert message in only_problem(zone(*polygon)).message


_points = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda p: (p[0] / 8, p[1] / 8))


@given(st.lists(_points, min_size=3, max_size=7))
def test_turning_a_polygon_round_or_starting_elsewhere_changes_nothing(
    polygon: list[tuple[float, float]],
) -> None:
    usable = polygon_fault(polygon) is None
    assert (polygon_fault(polygon[::-1]) is None) == usable
    assert (polygon_fault([*polygon[1:], polygon[0]]) is None) == usable


@given(st.lists(_points, min_size=3, max_size=7))
def test_the_insight_engine_accepts_every_zone_that_the_site_file_accepts(
    polygon: list[tuple[float, float]],
) -> None:
    if polygon_fault(polygon) is None:
        assert InsightZone("z", tuple(polygon)).polygon == tuple(polygon)


def test_a_line_needs_two_different_points() -> None:
    text = site_with(camera(lines=[{"id": "l", "a": [0.5, 0.5], "b": [0.5, 0.5]}]))
    assert only_problem(text).message == "a and b are the same point"


def test_rates_must_be_in_order() -> None:
    text = site_with(camera(fps=5, fps_floor=6))
    assert "between fps_floor and fps_ceiling" in only_problem(text).message


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"fps": 0.1}, "fps", "fps 0.1 is a frame every 10 s"),
        ({"fps_floor": 0.1}, "fps_floor", "fps_floor 0.1 is a frame every 10 s"),
        ({"source": {"images": "p", "fps": 0.05}}, "source", "fps 0.05 is a frame every 20 s"),
        ({"fps": 0.25, "zones": ZONES}, "fps", "4 s, but stays end after 3 s without one"),
    ],
)
def test_a_rate_at_which_nobody_can_be_followed_is_refused_where_it_is_set(
    changes: dict[str, Any], key: str, told: str
) -> None:
    problem = only_problem(site_with(camera(**changes)))
    assert told in problem.message
    assert problem.path == f"cameras[0].{key}"
    assert problem.line > 1


@pytest.mark.parametrize(
    ("policies", "path", "told"),
    [
        ({"matching": {"new_below": 0.8, "similarity": 0.7}}, "matching.new_below", "0.8 0.7"),
        ({"matching": {"enrol_after_faces": 9}}, "matching.enrol_after_faces", "8 9"),
        (
            {"matching": {"enrol_in_doubt_after_faces": 2}},
            "matching.enrol_in_doubt_after_faces",
            "2 3",
        ),
        ({"consolidation": {"merge_at": 0.6}}, "consolidation.merge_at", "0.6 0.72"),
        (
            {"consolidation": {"merge_at": 0.84}, "matching": {"similarity": 0.9}},
            "consolidation.merge_at",
            "0.84 0.9",
        ),
        (
            {"consolidation": {"propose_at": 0.9, "merge_at": 0.8}},
            "consolidation.propose_at",
            "0.9 0.8",
        ),
        ({"consolidation": {"propose_at": 0.6}}, "consolidation.propose_at", "0.6 0.66"),
        ({"registry": {"ttl_s": 1.0}}, "registry", "1 2"),
        ({"tracking": {"lost_after_s": 9.0}, "registry": {"ttl_s": 5.0}}, "registry", "5 9"),
        ({"stays": {"visit_gap_s": 2.0}}, "stays.visit_gap_s", "2 3"),
        (
            {"stays": {"visit_gap_s": 4.0, "leave_after_s": 5.0}},
            "stays.visit_gap_s",
            "4 5",
        ),
        ({"retention": {"detections_days": 31}}, "retention.detections_days", "31 30"),
        (
            {"retention": {"detections_days": 3, "opted_out_days": 2}},
            "retention.detections_days",
            "3 2",
        ),
    ],
)
def test_policies_that_contradict_each_other_are_refused_with_both_values_and_a_remedy(
    policies: dict[str, Any], path: str, told: str
) -> None:
    problem = only_problem(site_with(camera(), policies=policies))
    assert problem.path == f"policies.{path}"
    assert set(told.split()) <= set(re.findall(r"[\d.]+\d|\d", problem.message))
    assert problem.line > 5
    assert re.search(r"\d", problem.hint)


@pytest.mark.parametrize(
    "policies",
    [
        {"consolidation": {"merge_at": 0.75}},
        {"consolidation": {"merge_at": 1.01, "propose_at": 1.01}},
        {"consolidation": {"propose_at": 1.01}},
        {"matching": {"similarity": 0.99}},
        {"retention": {"detections_days": 31, "anonymous_days": None, "insights_days": 10}},
    ],
)
def test_policies_that_agree_are_accepted(policies: dict[str, Any]) -> None:
    assert site_from_text(site_with(camera(), policies=policies))


def test_all_contradictions_are_reported_at_once() -> None:
    policies = {"consolidation": {"merge_at": 0.6}, "stays": {"visit_gap_s": 2.0}}
    found = problems_of(site_with(camera(fps=0.1), policies=policies))
    assert {problem.path for problem in found} == {
        "cameras[0].fps",
        "policies.consolidation.merge_at",
        "policies.stays.visit_gap_s",
    }


def test_a_low_rate_that_can_be_followed_is_accepted() -> None:
    for changes in ({"fps": 0.4, "zones": ZONES}, {"fps": 0.2}):
        assert site_from_text(site_with(camera(**changes)))
    bridged = {"stays": {"bridge_s": 4.0}}
    assert site_from_text(site_with(camera(fps=0.25, zones=ZONES), policies=bridged))


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"role": "entrance", "reads_faces": False}, "is an entrance"),
        ({"lines": [{"id": "l", "a": [0.5, 1], "b": [0.5, 0]}]}, "counts at lines"),
        ({"role": "billing"}, "reads faces"),
    ],
)
def test_a_camera_that_needs_every_person_may_not_be_read_by_key_frames(
    about: dict[str, object], why: str
) -> None:
    problem = only_problem(
        site_with(camera(**{"role": "tracking", "key_frames_while_idle": True, **about}))
    )
    assert why in problem.message
    assert problem.path.endswith("key_frames_while_idle")
    assert problem.hint == "remove this key, so that every frame is decoded"


def test_only_a_camera_that_asks_for_it_is_read_by_key_frames() -> None:
    plain, saving = (
        site_from_text(site_with(camera(role="tracking", **more)))
        for more in ({}, {"key_frames_while_idle": True})
    )
    plans = [ingest_plan(site.cameras[0], in_step=False) for site in (plain, saving)]
    assert [plan.idle.enabled for plan in plans] == [False, True]


def test_a_switch_takes_no_number_for_true() -> None:
    assert "true or false" in only_problem(site_with(camera(reads_faces=1))).message


def test_a_key_without_a_value_is_told_so() -> None:
    assert (
        only_problem("site:\ntimezone: UTC\ncameras:\n" + CAMERA).message == "this key has no value"
    )


@given(st.text(max_size=60))
def test_any_text_is_either_a_site_or_a_list_of_problems(text: str) -> None:
    with pytest.raises(SiteInvalid) as caught:
        site_from_text(text)
    assert caught.value.problems


_plain = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(["site", "timezone", "cameras", "topology", "policies"]),
    st.sampled_from(["", "id", "role", "source", "zones", "lines", "edges", "overlaps"]),
    _plain,
)
def test_a_value_of_any_shape_anywhere_never_ends_in_another_error(
    key: str, inner: str, value: object
) -> None:
    document = json.loads(site_with(camera()))
    if inner and key == "cameras":
        document["cameras"][0][inner] = value
    else:
        document[key] = {inner: value} if inner else value
    assert is_answered(json.dumps(document))


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 30), st.text(max_size=4))
def test_a_slip_anywhere_in_a_site_file_never_ends_in_another_error(
    start: int, length: int, typed: str
) -> None:
    assert is_answered(EXAMPLE[:start] + typed + EXAMPLE[start + length :])


def test_the_published_schema_is_the_current_one() -> None:
    published = (REPOSITORY / "docs" / "site.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run `make docs`"


@pytest.mark.parametrize("name", ["CEST", "CET+1", "PST"])
def test_an_abbreviated_time_zone_suggests_no_other_abbreviation(name: str) -> None:
    problem = only_problem(site_with(camera()).replace("Europe/Berlin", name))
    assert problem.path == "timezone"
    assert "did you mean" not in problem.hint
    assert "Europe/Berlin" in problem.hint


@pytest.mark.parametrize(
    "text", ["a: 1\t# why\n", "a:\t1\n", "a: 1\t\n", "\t# why\na: 1\n", "a: 1\n \t \n"], ids=repr
)
def test_a_tab_that_yaml_allows_is_accepted(text: str) -> None:
    assert read_document(text).data == {"a": 1}


def test_a_tab_within_quotes_is_kept() -> None:
    assert read_document('a:\t1\nb: "x\t# y"\n').data == {"a": 1, "b": "x\t# y"}


@pytest.mark.parametrize(
    "shape",
    [
        {"zones": [{"id": "z", "polygon": [[0, 0], [960, 0], [0.5, 0.5]]}]},
        {"lines": [{"id": "l", "a": [1910, 0.2], "b": [0, 0.2]}]},
        {"floor": [[[640, 0.5], [1, 1]], [[0, 0], [0, 0]], [[0, 1], [0, 3]], [[1, 1], [2, 3]]]},
    ],
    ids=["zone", "line", "floor"],
)
def test_pixel_coordinates_are_told_apart_from_wrong_numbers(shape: dict[str, Any]) -> None:
    problem = only_problem(site_with(camera(**shape)))
    assert "not pixels" in problem.message
    assert "divide x by the picture's width" in problem.hint


def test_meters_of_the_floor_plan_are_no_pixels() -> None:
    floor = [[[0.5, 0.5], [20_000, 1]], [[0, 0], [0, 0]], [[0, 1], [0, 3]], [[1, 1], [2, 3]]]
    assert "pixels" not in only_problem(site_with(camera(floor=floor))).message


@pytest.mark.parametrize("key", ["native_max_side", "frame_side"])
def test_a_picture_that_a_worker_would_refuse_is_not_asked_for(key: str) -> None:
    problem = only_problem(site_with(camera(**{key: 7680})))
    assert (problem.path, problem.hint) == (f"cameras[0].{key}", LIMITS_OF[key])
    largest = getattr(site_from_text(site_with(camera(**{key: 4096}))).cameras[0], key)
    check_header(jpeg(largest, largest), PictureLimits())


LIMITS_OF = {
    "native_max_side": "at least 16, at most 4096",
    "frame_side": "at least 16, at most 4096, a multiple of 32",
}


def warnings_of(*cameras: dict[str, Any]) -> list[str]:
    return list(plausibility_warnings(site_from_text(site_with(*cameras))))


LINE = {"id": "l", "a": [1, 0.2], "b": [0, 0.2]}
CORNERS = [[0, 0], [1, 0], [1, 1]]


def test_an_entrance_without_a_line_is_doubtful() -> None:
    assert "entrance without a line" in warnings_of(camera(role="entrance"))[0]
    assert warnings_of(camera(role="entrance", lines=[LINE])) == []


def till_zone(kind: str, *tills: str, name: str = "") -> dict[str, Any]:
    return {"id": name or kind, "kind": kind, "polygon": CORNERS, "tills": list(tills)}


def test_a_queue_that_leads_to_no_till_is_doubtful() -> None:
    (warning,) = warnings_of(camera(zones=[till_zone("queue")]))
    assert "queue queue names no till" in warning


def test_a_queue_leads_to_tills_of_other_cameras_and_to_several() -> None:
    tills = [till_zone("till", name, name=name) for name in ("till-1", "till-2")]
    site = site_from_text(
        site_with(
            camera(zones=tills),
            camera(id="hall", zones=[till_zone("queue", "till-1", "till-2")]),
        )
    )
    assert site.cameras[1].zones[0].tills == ("till-1", "till-2")
    assert [zone.engaged_after_s for c in site.cameras for zone in c.zones] == [5.0, 5.0, 10.0]


@pytest.mark.parametrize(
    ("zones", "path", "message", "hint"),
    [
        (
            [till_zone("queue", "till-1")],
            "cameras[0].zones[0].tills[0]",
            "no zone of kind till serves a till of this id",
            "draw a zone of kind till for it",
        ),
        (
            [till_zone("till", "till-1"), till_zone("queue", "tll-1")],
            "cameras[0].zones[1].tills[0]",
            "no zone of kind till serves a till of this id",
            "did you mean till-1?",
        ),
        (
            [till_zone("till", "till-1"), till_zone("queue", "till-1", "till-1")],
            "cameras[0].zones[1].tills[1]",
            "this queue names the till twice",
            "remove one of them",
        ),
        (
            [till_zone("till", "till-1", "till-2")],
            "cameras[0].zones[0].tills",
            "a zone of kind till is the place of service of one till, not of 2",
            "draw a zone for each till",
        ),
        (
            [{"id": "till", "kind": "till", "polygon": CORNERS}],
            "cameras[0].zones[0]",
            "a zone of kind till is the place of service of one till, not of 0",
            "name it, like tills: [till-1]",
        ),
        (
            [till_zone("till", "till-1"), till_zone("till", "till-1", name="other")],
            "cameras[0].zones[1].tills[0]",
            "another zone is the place of service of this till",
            "give each till an id of its own",
        ),
        (
            [till_zone("till", "till-1"), till_zone("shelf", "till-1")],
            "cameras[0].zones[1].tills",
            "only zones of kind queue and till have tills",
            "set kind: till where people are served",
        ),
    ],
)
def test_zones_of_tills_must_agree(
    zones: list[dict[str, Any]], path: str, message: str, hint: str
) -> None:
    problem = only_problem(site_with(camera(zones=zones)))
    assert (problem.path, problem.line > 0) == (path, True)
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("kind", ["queue", "till"])
@pytest.mark.parametrize("tills", ["till-1", [7], {"till-1": 1}, [["till-1"]], None])
def test_tills_of_another_shape_are_a_problem_and_no_crash(tills: object, kind: str) -> None:
    zone = {"id": "queue", "kind": kind, "polygon": CORNERS, "tills": tills}
    assert any("tills" in p.path for p in problems_of(site_with(camera(zones=[zone]))))


def test_a_till_without_a_queue_is_doubtful() -> None:
    till, queue = till_zone("till", "till-1"), till_zone("queue", "till-1")
    assert "zone of kind queue" in warnings_of(camera(zones=[till]))[0]
    assert warnings_of(camera(zones=[till, queue])) == []
    assert warnings_of(camera(role="tracking")) == []


def test_two_cameras_with_one_address_are_doubtful() -> None:
    def at(name: str, url: str) -> dict[str, Any]:
        return camera(id=name, role="tracking", source={"url": url})

    address = "rtsp://10.0.0.7/pwd=hunter2"
    (warning,) = warnings_of(at("a", address), at("b", address), at("c", "rtsp://10.0.0.7/other"))
    assert warning.startswith("cameras a and b have one address")
    assert "hunter2" not in warning


def test_the_example_passes_check_but_is_not_run() -> None:
    credentials = {"DOOR_CAMERA_USER": "u", "DOOR_CAMERA_PASSWORD": "p"}
    assert site_from_text(EXAMPLE).cameras
    with pytest.raises(SiteInvalid) as refused:
        site_from_text(EXAMPLE, environ=credentials)
    assert len(refused.value.problems) == len(site_from_text(EXAMPLE).cameras)
    line = EXAMPLE.splitlines().index(next(t for t in EXAMPLE.splitlines() if "//door." in t)) + 1
    first = refused.value.problems[0]
    assert (first.line, first.path) == (line, "cameras[0].source.url")
    assert "address of camera door" in first.hint
    (door, *_) = site_from_text(EXAMPLE).cameras
    with pytest.raises(ConfigurationError, match="placeholder"):
        door.source.credentials(credentials)


@pytest.mark.parametrize("model", SOURCES, ids=lambda model: model.key)
def test_every_kind_of_source_says_what_it_is(model: type[CameraSource]) -> None:
    (found,) = site_from_text(site_with(camera(source={model.key: "rtsp://h/x"}))).cameras
    assert type(found.source) is model
    spec = source_spec(found, {}, EPOCH)
    assert spec.is_live is model.is_live
    assert open_source(spec, SystemClock())


def test_udp_is_only_for_rtsp() -> None:
    source = {"url": "http://h/x", "transport": "udp"}
    problem = only_problem(site_with(camera(source=source)))
    assert "only rtsp://" in problem.message
