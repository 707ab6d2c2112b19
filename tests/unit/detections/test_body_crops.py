"""Which bodies are cropped: those near others, and those alone in every n-th frame."""

import numpy as np
import pytest

from trinetra.detections.body_crops import BodyPolicy, body_crops
from trinetra.detections.vision.picture import Picture
from trinetra.events.schema import ObjectBox
from trinetra.values import EPOCH, CameraId, Frame, Letterbox

EVERY = BodyPolicy(alone_every_frames=1)
CLEAR = (100.0, 100.0, 160.0, 280.0)


def picture(seq=0, width=640, height=640, side=640):
    """Return a square picture whose pixels are their own coordinates, in steps of four."""
    box = Letterbox.fit(width, height, side)
    content_w, content_h = round(width * box.scale), round(height * box.scale)
    rows, columns = np.mgrid[:content_h, :content_w] // 4
    pixels = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    frame = Frame(CameraId("door"), seq, EPOCH, width, height, box, b"")
    return Picture(frame, pixels)


def person(box=CLEAR, score=0.8, label="person"):
    return ObjectBox(label, score, box)


def chosen(*objects, policy=EVERY, **of_picture):
    return sorted(body_crops(picture(**of_picture), objects, policy))


def test_a_clear_body_is_cropped_to_its_box():
    (crop,) = body_crops(picture(), [person()], EVERY).values()
    assert crop.shape == (180, 60, 3)
    assert crop[0, 0].tolist() == [25, 25, 0]
    assert crop[-1, -1].tolist() == [279 // 4, 159 // 4, 0]


def test_a_box_in_native_pixels_is_cropped_from_the_reduced_picture():
    reduced = picture(width=1280, height=1280)
    (crop,) = body_crops(reduced, [person((200, 200, 320, 560))], EVERY).values()
    assert crop.shape == (180, 60, 3)
    assert crop[0, 0].tolist() == [25, 25, 0]


def test_a_person_alone_is_taken_in_frames_whose_number_is_a_multiple():
    policy = BodyPolicy(alone_every_frames=3)
    taken = [seq for seq in range(7) if chosen(person(), policy=policy, seq=seq)]
    assert taken == [0, 3, 6]


@pytest.mark.parametrize(("gap_px", "near"), [(-30, True), (44, True), (46, False)])
def test_people_within_a_quarter_of_their_height_are_taken_in_every_frame(gap_px, near):
    _, y1, x2, y2 = CLEAR
    other = person((x2 + gap_px, y1, x2 + gap_px + 60, y2))
    for pair in ((person(), other), (other, person())):
        assert chosen(*pair, policy=BodyPolicy(), seq=1) == ([0, 1] if near else [])


def test_a_person_near_a_car_is_alone():
    assert chosen(person(), person(label="car"), policy=BodyPolicy(), seq=1) == []


def test_a_body_must_be_large_enough_in_the_camera_and_in_the_picture():
    tall = person((100.0, 100.0, 160.0, 190.0))
    assert chosen(tall) == [0]
    assert chosen(tall, width=1280, height=1280) == []  # 45 pixels of the picture
    enlarged = person((100.0, 100.0, 115.0, 145.0))
    assert chosen(enlarged, width=320, height=320) == []  # 90 pixels that were 45


def test_a_car_is_not_cropped():
    assert chosen(person(), person(label="car")) == [0]


def test_covered_and_cut_off_bodies_are_cropped():
    nearer = person((0.0, 110.0, 190.0, 640.0))
    assert chosen(person(), nearer) == [0, 1]


def test_the_tallest_are_taken_where_there_are_too_many():
    heights = (100, 160, 120, 140)
    row = [person((20 + 90 * i, 50.0, 80 + 90 * i, 50.0 + h)) for i, h in enumerate(heights)]
    assert chosen(*row, policy=BodyPolicy(alone_every_frames=1, max_per_frame=2)) == [1, 3]


def test_people_near_others_are_taken_before_taller_ones_who_stand_alone():
    alone = person((400.0, 50.0, 500.0, 350.0))
    pair = (person((20.0, 50.0, 80.0, 150.0)), person((70.0, 50.0, 130.0, 150.0)))
    assert chosen(alone, *pair, policy=BodyPolicy(max_per_frame=2)) == [1, 2]


def test_a_box_of_no_size_does_no_harm():
    assert chosen(person((100.0, 100.0, 100.0, 280.0)), person()) == [0, 1]


def test_nobody_is_cropped_from_an_empty_frame():
    assert chosen() == []
