"""Which vehicles are read, where their pictures lie, and which plate is whose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.plate_crops import (
    PlatePolicy,
    assign_plates,
    crop_vehicle,
    is_readable,
    to_native,
    vehicles_to_read,
)
from trinetra.detections.plates import input_size
from trinetra.events.schema import ObjectBox
from trinetra.values import PlateText

POLICY = PlatePolicy()


def vehicle(x1=100.0, y1=100.0, width=200.0, height=150.0, label="car"):
    return ObjectBox(label, 0.9, (x1, y1, x1 + width, y1 + height))


def plate(text="KA01AB1234", confidence=0.9, box=(0.0, 0.0, 100.0, 25.0)):
    return PlateText(text, (confidence,) * len(text), np.array(box, np.float32))


def test_the_largest_vehicles_are_read_and_people_and_bicycles_never():
    objects = [
        vehicle(width=90),
        vehicle(width=300),
        vehicle(width=500, label="person"),
        vehicle(width=500, label="bicycle"),
        vehicle(width=200, label="bus"),
        vehicle(width=79),
    ]
    assert vehicles_to_read(objects, POLICY) == [1, 4, 0]
    assert vehicles_to_read([], POLICY) == []


@given(
    st.floats(-50, 700),
    st.floats(-50, 500),
    st.floats(0, 400),
    st.floats(0, 400),
    st.floats(0.2, 1),
)
def test_a_crop_is_never_empty_and_lies_inside_the_picture(x1, y1, width, height, scale):
    image = np.zeros((480, 640, 3), np.uint8)
    crop = crop_vehicle(image, (x1, y1, x1 + width, y1 + height), scale)
    assert min(crop.picture.shape) >= 1
    assert (crop.origin >= 0).all()
    assert (crop.origin + crop.picture.shape[1::-1] <= (640, 480)).all()


@given(st.floats(0.2, 1), st.floats(0, 500), st.floats(0, 300))
def test_a_place_in_the_crop_is_found_again_in_the_native_image(scale, x, y):
    image = np.zeros((480, 640, 3), np.uint8)
    crop = crop_vehicle(image, (x, y, x + 100, y + 100), scale)
    low, high = np.array([3, 4]), np.array([13, 8])
    inside = plate(box=(*low, *high))
    x1, y1, x2, y2 = to_native(crop, inside)
    assert np.array([x1, y1]) * scale == pytest.approx(low + crop.origin, abs=0.06)
    assert np.array([x2, y2]) * scale == pytest.approx(high + crop.origin, abs=0.06)


@pytest.mark.parametrize(
    ("read", "legible"),
    [
        (plate(), True),
        (plate("AB1"), False),
        (plate(""), False),
        (plate(confidence=0.69), False),
        (plate(box=(0, 0, 40, 7)), False),
        (plate(box=(0, 0, 20, 40)), False),
        (plate(box=(0, 0, 40, 40)), True),
    ],
    ids=["good", "short", "empty", "unsure", "low", "upright", "two lines"],
)
def test_a_text_counts_as_a_plate_if_it_is_long_sure_and_shaped_like_one(read, legible):
    assert is_readable(read, POLICY) is legible


def test_of_two_plates_on_one_vehicle_the_surer_one_counts():
    box = (150.0, 200.0, 200.0, 215.0)
    read = {0: [(plate("FIRST1", 0.8), box), (plate("SECOND", 0.95), box)]}
    assert assign_plates([vehicle()], read)[0][0].text == "SECOND"


def test_a_plate_belongs_to_the_smallest_vehicle_around_it():
    near, behind = vehicle(0, 0, 600, 400), vehicle(400, 50, 120, 90)
    on_both = (450.0, 100.0, 480.0, 110.0)
    only_near = (100.0, 300.0, 200.0, 330.0)
    read = {0: [(plate("BEHIND", 0.99), on_both), (plate("NEAR11", 0.8), only_near)], 1: []}
    found = assign_plates([near, behind], read)
    assert {row: seen.text for row, (seen, _) in found.items()} == {0: "NEAR11", 1: "BEHIND"}


def test_a_plate_in_the_margin_of_a_picture_belongs_to_its_vehicle():
    below = (150.0, 251.0, 200.0, 262.0)
    assert list(assign_plates([vehicle()], {0: [(plate(), below)]})) == [0]


def test_no_reading_gives_no_plate():
    assert assign_plates([vehicle()], {}) == {}
    assert assign_plates([vehicle()], {0: []}) == {}


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_pictures_of_all_shapes_come_in_a_few_sizes_that_the_finder_accepts(width, height):
    size = input_size(width, height, 640)
    assert max(size) == 640
    assert all(length % 32 == 0 and length >= 256 for length in size)
    assert size[0] == 640 if width >= height else size[1] == 640
