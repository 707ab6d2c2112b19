"""Checks of lines and zones: which way is in, and which lines cannot count."""

from typing import Any

import pytest

from trinetra.site.cameras import Line
from trinetra.site.line_checks import line_directions, line_warnings, way_in
from trinetra.site.schema import Site

FLOOR = [[[0, 0.5], [-4, 8]], [[1, 0.5], [8, 8]], [[1, 1], [4, 0]], [[0, 1], [0, 0]]]


def site(lines: Any = (), zones: Any = (), **camera: Any) -> Site:
    entry = {
        "id": "door",
        "role": "entrance",
        "source": {"file": "a.mp4"},
        "lines": [
            {"id": f"l{i}", "a": a, "b": b, **(extra[0] if extra else {})}
            for i, (a, b, *extra) in enumerate(lines)
        ],
        "zones": [{"id": f"z{i}", "kind": k, "polygon": p} for i, (k, p) in enumerate(zones)],
        **camera,
    }
    return Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [entry]})


def warnings(*args: Any, **kwargs: Any) -> str:
    return "\n".join(line_warnings(site(*args, **kwargs)))


@pytest.mark.parametrize(
    ("a", "b", "arrow"),
    [
        ((0, 0.5), (1, 0.5), "↓"),
        ((1, 0.5), (0, 0.5), "↑"),
        ((0.5, 1), (0.5, 0), "→"),
        ((0.5, 0), (0.5, 1), "←"),
        ((0, 1), (1, 0), "↘"),
        ((0, 0), (1, 1), "↙"),
        ((1, 1), (0, 0), "↗"),
        ((1, 0), (0, 1), "↖"),
    ],
)
def test_the_way_in_is_to_the_right_of_the_line(a: Any, b: Any, arrow: str) -> None:
    assert way_in(Line(id="l", a=a, b=b))[0] == arrow


def test_the_way_in_is_told_for_every_line() -> None:
    told = list(line_directions(site([((0.1, 0.5), (0.9, 0.5))])))
    assert told == ["camera door, line l0: in is down in the picture (↓)"]


def test_a_sound_line_has_no_warning() -> None:
    assert warnings([((0.1, 0.5), (0.9, 0.55))]) == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (((0.1, 0.99), (0.9, 1.0)), "along the lower border"),
        (((0.0, 0.2), (0.01, 0.9)), "along the left border"),
        (((1.0, 0.2), (0.99, 0.9)), "along the right border"),
        (((0.1, 0.0), (0.9, 0.02)), "along the upper border"),
        (((0.5, 0.5), (0.52, 0.5)), "shorter than a step"),
        (((0.1, 0.05), (0.9, 0.08)), "too small to be detected"),
    ],
)
def test_a_line_that_cannot_count_is_told(line: Any, told: str) -> None:
    assert told in warnings([line])


def test_a_line_where_no_floor_is_seen_is_told() -> None:
    assert "no floor is seen there" in warnings([((0.1, 0.12), (0.9, 0.12))], floor=FLOOR)
    assert warnings([((0.1, 0.8), (0.9, 0.8))], floor=FLOOR) == ""


def test_a_line_through_a_queue_is_told_but_not_one_through_an_area() -> None:
    square = [(0.2, 0.4), (0.8, 0.4), (0.8, 0.6), (0.2, 0.6)]
    through = [((0.1, 0.5), (0.9, 0.5))]
    assert "crosses queue zone z0" in warnings(through, [("queue", square)])
    assert warnings(through, [("area", square)]) == ""
    within = [((0.3, 0.5), (0.7, 0.5))]
    assert "crosses queue zone z0" in warnings(within, [("queue", square)])


def test_lines_that_count_one_walk_twice_are_told() -> None:
    one = ((0.1, 0.5), (0.9, 0.5))
    assert "l0 and l1 cross" in warnings([one, ((0.5, 0.2), (0.5, 0.8))])
    beside = ((0.1, 0.53), (0.9, 0.53))
    assert "side by side" in warnings([one, beside])
    assert warnings([one, (*beside, {"kind": "inner"})]) == ""
    assert warnings([one, ((0.1, 0.8), (0.9, 0.8))]) == ""


def test_zones_of_one_kind_that_overlap_are_told_but_not_those_that_touch() -> None:
    def square(x: float, size: float = 0.3) -> list[tuple[float, float]]:
        return [(x, 0.5), (x + size, 0.5), (x + size, 0.5 + size), (x, 0.5 + size)]

    assert "z0 and z1 of kind shelf overlap" in warnings(
        zones=[("shelf", square(0.1)), ("shelf", square(0.3))]
    )
    assert "overlap" in warnings(zones=[("shelf", square(0.1)), ("shelf", square(0.15, 0.1))])
    assert warnings(zones=[("shelf", square(0.1)), ("shelf", square(0.4))]) == ""
    assert warnings(zones=[("shelf", square(0.1)), ("area", square(0.3))]) == ""
