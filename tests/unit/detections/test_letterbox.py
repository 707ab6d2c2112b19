import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.detections.vision.letterbox import BatchBuilder, InputSpec, Stretch, fit
from trinetra.values import Letterbox

sides = st.integers(1, 2000)


@given(sides, sides)
def test_every_picture_fits_and_touches_two_opposite_sides(width, height):
    spec = InputSpec(416, 320)
    box = fit(width, height, spec)
    assert box.scale * width <= 416 + 0.5
    assert box.scale * height <= 320 + 0.5
    assert box.pad_x == 0 or box.pad_y == 0


@given(sides, sides)
def test_a_square_input_is_fitted_as_frames_are(width, height):
    assert fit(width, height, InputSpec(416, 416)) == Letterbox.fit(width, height, 416)


@given(sides, sides, st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_a_point_survives_the_way_into_the_letterbox_and_back(width, height, x, y):
    box = fit(width, height, InputSpec(416, 416))
    point = np.array([[x * width, y * height]], np.float32)
    assert box.to_native(box.to_boxed(point)) == pytest.approx(point, abs=max(width, height) / 500)


def test_pixels_are_normalized_in_the_networks_color_order_and_padded():
    spec = InputSpec(4, 4, color="RGB", mean=(10, 20, 30), std=(2, 4, 5), pad=10)
    picture = np.full((2, 4, 3), (30, 60, 110), np.uint8)  # blue, green, red
    tensor, (box,) = BatchBuilder(spec).build([picture])
    assert box == Letterbox(1.0, 0.0, 1.0)
    assert tensor[0, :, 1, 0] == pytest.approx([(110 - 10) / 2, (60 - 20) / 4, (30 - 30) / 5])
    assert tensor[0, :, 0, 0] == pytest.approx([0, -2.5, -4])


def test_both_layouts_hold_the_same_numbers():
    picture = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
    planar, _ = BatchBuilder(InputSpec(64, 64, mean=(1, 2, 3), std=(4, 5, 6))).build([picture])
    packed, _ = BatchBuilder(InputSpec(64, 64, "NHWC", mean=(1, 2, 3), std=(4, 5, 6))).build(
        [picture]
    )
    assert np.array_equal(planar.transpose(0, 2, 3, 1), packed)


def test_a_slot_keeps_nothing_of_the_picture_before():
    builder = BatchBuilder(InputSpec(32, 32, pad=7))
    tall, wide = np.full((32, 8, 3), 200, np.uint8), np.full((8, 32, 3), 100, np.uint8)
    builder.build([tall, tall])
    reused, _ = builder.build([wide])
    fresh, _ = BatchBuilder(InputSpec(32, 32, pad=7)).build([wide])
    assert reused.shape == (1, 3, 32, 32)
    assert np.array_equal(reused, fresh)


def test_a_batch_is_its_pictures_one_by_one():
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (h, 40, 3), np.uint8) for h in (20, 40, 7)]
    builder = BatchBuilder(InputSpec(64, 64, std=(2, 2, 2)))
    together, boxes = builder.build(pictures)
    together = together.copy()
    for row, picture in enumerate(pictures):
        alone, (box,) = builder.build([picture])
        assert np.array_equal(together[row], alone[0])
        assert boxes[row] == box


def test_a_stretched_picture_fills_the_input_and_its_points_find_back():
    picture = np.zeros((20, 10, 3), np.uint8)
    picture[10:, 5:] = 200
    tensor, (box,) = BatchBuilder(InputSpec(40, 20, stretches=True)).build([picture])
    assert box == Stretch(4.0, 1.0)
    assert (tensor[0, 0, 12:, 24:] == 200).all()
    assert (tensor[0, 0, :8] == 0).all()
    corner = box.to_native(np.array([[20, 10]], np.float32))
    assert corner == pytest.approx(np.array([[5, 10]]))
