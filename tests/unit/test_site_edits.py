"""Edits of a site file keep every byte that they do not concern."""

import copy
import difflib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError
from trinetra.site import EXAMPLE, site_from_text
from trinetra.site.document import read_document
from trinetra.site.edits import Edit, apply_edits

TEXT = """\
# The shop at the corner
site: corner   # its id
timezone: Europe/Berlin
cameras:
  # looks at the door
  - id: door
    role: entrance
    source: {url: "rtsp://192.0.2.1/x"}  # by the ladder
    lines:
      - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}  # chalked on the floor
      - id: side
        a: [0.1, 0.8]
        b: [0.2, 0.8]
    zones: [{id: mat, polygon: [[0, 0], [1, 0], [1, 1]]}]

  - id: till  # number one
    role: billing
    source:
      url: rtsp://192.0.2.2/x

topology:
  max_walking_speed_mps: 2.0
"""


def changed_lines(before: str, after: str) -> list[str]:
    return [
        line
        for line in difflib.ndiff(before.splitlines(), after.splitlines())
        if line[:2] in {"- ", "+ "}
    ]


def data(text: str) -> Any:
    return read_document(text).data


def test_moving_a_line_changes_only_its_numbers() -> None:
    moved = apply_edits(TEXT, [Edit("put", ("cameras", "door", "lines", "main", "a"), [0.2, 0.5])])
    assert changed_lines(TEXT, moved) == [
        "-       - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}  # chalked on the floor",
        "+       - {id: main, a: [0.2, 0.5], b: [0.9, 0.5]}  # chalked on the floor",
    ]


def test_putting_a_whole_entry_touches_only_what_differs() -> None:
    whole = {"id": "side", "a": [0.1, 0.8], "b": [0.3, 0.8], "kind": "inner"}
    made = apply_edits(TEXT, [Edit("put", ("cameras", "door", "lines", "side"), whole)])
    assert changed_lines(TEXT, made) == [
        "-         b: [0.2, 0.8]",
        "+         b: [0.3, 0.8]",
        "+         kind: inner",
    ]


def test_a_new_entry_is_appended_to_its_list() -> None:
    line = {"id": "back", "a": [0, 0.4], "b": [1, 0.4]}
    made = apply_edits(TEXT, [Edit("put", ("cameras", "door", "lines", "back"), line)])
    assert changed_lines(TEXT, made) == ["+       - {id: back, a: [0, 0.4], b: [1, 0.4]}"]


def test_a_new_entry_goes_into_a_list_on_one_line() -> None:
    zone = {"id": "desk", "polygon": [[0, 0], [1, 0], [1, 1]]}
    made = apply_edits(TEXT, [Edit("put", ("cameras", "door", "zones", "desk"), zone)])
    assert [zone["id"] for zone in data(made)["cameras"][0]["zones"]] == ["mat", "desk"]
    assert len(changed_lines(TEXT, made)) == 2


def test_a_key_goes_into_an_entry_on_one_line() -> None:
    made = apply_edits(TEXT, [Edit("put", ("cameras", "door", "lines", "main", "kind"), "inner")])
    assert changed_lines(TEXT, made) == [
        "-       - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}  # chalked on the floor",
        "+       - {id: main, a: [0.1, 0.5], b: [0.9, 0.5], kind: inner}  # chalked on the floor",
    ]


def test_a_missing_list_is_added_to_its_camera() -> None:
    lines = [{"id": "l", "a": [0, 0.5], "b": [1, 0.5]}]
    made = apply_edits(TEXT, [Edit("put", ("cameras", "till", "lines"), lines)])
    assert changed_lines(TEXT, made) == [
        "+     lines:",
        "+       - {id: l, a: [0, 0.5], b: [1, 0.5]}",
    ]


def test_a_camera_is_added_with_a_line_for_each_key() -> None:
    camera = {
        "id": "yard",
        "role": "vehicle",
        "source": {"url": "rtsp://192.0.2.9:554/a?b=c&d=[1]", "username_env": "YARD_USER"},
    }
    made = apply_edits(TEXT, [Edit("put", ("cameras", "yard"), camera)])
    assert data(made)["cameras"][2] == camera
    assert len(changed_lines(TEXT, made)) == 3
    assert site_from_text(made).cameras[2].id == "yard"


def test_the_last_entry_takes_its_list_with_it() -> None:
    made = apply_edits(TEXT, [Edit("remove", ("cameras", "door", "zones", "mat"))])
    assert "zones" not in data(made)["cameras"][0]
    assert len(changed_lines(TEXT, made)) == 1


def test_entries_are_removed_with_their_line_alone() -> None:
    made = apply_edits(TEXT, [Edit("remove", ("cameras", "door", "lines", "main"))])
    assert len(changed_lines(TEXT, made)) == 1
    made = apply_edits(TEXT, [Edit("remove", ("cameras", "till"))])
    assert [camera["id"] for camera in data(made)["cameras"]] == ["door"]
    assert "# looks at the door" in made


def test_a_block_of_values_is_replaced_by_one_line() -> None:
    text = TEXT.replace(
        "zones: [{id: mat, polygon: [[0, 0], [1, 0], [1, 1]]}]",
        "zones:\n    - id: mat\n      polygon:\n      - [0, 0]\n      - [1, 0]\n      - [1, 1]\n",
    )
    corners = [[0, 0], [0.5, 0], [1, 1], [0, 1]]
    made = apply_edits(text, [Edit("put", ("cameras", "door", "zones", "mat", "polygon"), corners)])
    assert data(made)["cameras"][0]["zones"][0]["polygon"] == corners


def test_windows_line_ends_are_kept() -> None:
    text = TEXT.replace("\n", "\r\n")
    line = {"id": "back", "a": [0, 0.4], "b": [1, 0.4]}
    made = apply_edits(
        text,
        [
            Edit("put", ("cameras", "door", "lines", "back"), line),
            Edit("remove", ("cameras", "door", "lines", "side")),
        ],
    )
    assert "\n" not in made.replace("\r\n", "")


def test_the_example_takes_a_line_and_loses_no_comment() -> None:
    camera = data(EXAMPLE)["cameras"][0]["id"]
    line = {"id": "new-line", "a": [0.1, 0.2], "b": [0.3, 0.4]}
    made = (
        apply_edits(EXAMPLE, [Edit("put", ("cameras", camera, "lines", "new-line"), line)])
        if "lines" in data(EXAMPLE)["cameras"][0]
        else apply_edits(EXAMPLE, [Edit("put", ("cameras", camera, "lines"), [line])])
    )
    assert all(change.startswith("+ ") for change in changed_lines(EXAMPLE, made))
    assert made.count("#") == EXAMPLE.count("#")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (Edit("put", ("cameras", "gone", "lines"), []), "no gone"),
        (Edit("remove", ("cameras", "door", "lines", "gone")), "no gone"),
        (Edit("put", ("cameras", "door", "lines", "main", "a"), [float("nan"), 0]), "NaN"),
        (Edit("put", (), {}), "path"),
        (Edit("put", ("site", "x"), 1), "no x"),
        (Edit("remove", ("cameras", "door", "id")), "first key"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(edit: Edit, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        apply_edits(TEXT, [edit])


def test_a_value_behind_an_alias_is_refused() -> None:
    text = "a: &p [0, 1]\nb: *p\nsite: x\n"
    with pytest.raises(ConfigurationError, match="edit its text"):
        apply_edits(text, [Edit("put", ("b",), [0, 2])])


def test_a_deep_value_is_refused() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(ConfigurationError, match="deeply"):
        apply_edits(TEXT, [Edit("put", ("topology",), value)])


_names = st.text("abc-: #'\"[]{},&*%\n\u00e9", min_size=0, max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | _names,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_names.filter(bool), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    path=st.sampled_from(
        [
            ("topology", "edges"),
            ("cameras", "door", "source"),
            ("cameras", "door", "source", "url"),
            ("cameras", "door", "lines", 1, "b"),
            ("cameras", "till", "source", "url"),
            ("topology",),
            ("site",),
        ]
    ),
    value=_values,
)
def test_what_is_put_is_read_again_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    before = copy.deepcopy(data(TEXT))
    try:
        made = data(apply_edits(TEXT, [Edit("put", path, value)]))
    except ConfigurationError:
        return
    parent, expected = made, before
    for step in path[:-1]:
        row = next(
            (i for i, c in enumerate(parent) if isinstance(parent, list) and c["id"] == step), step
        )
        parent, expected = parent[row], expected[row]
    assert parent[path[-1]] == value
    expected[path[-1]] = value
    assert made == before
