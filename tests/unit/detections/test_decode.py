import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trinetra.detections.vision import decode
from trinetra.errors import EngineFailure

SIDE = 64
CELLS = [(SIDE // stride) ** 2 for stride in decode.STRIDES]
HEAD = decode.Head(SIDE, SIDE, 3)
PERSON = np.array([0], np.intp)

corners = hnp.arrays(np.float32, (12, 2, 2), elements=st.floats(0, 50, width=16))
scores = hnp.arrays(np.float32, 12, elements=st.floats(0.125, 1, width=16))
kinds = hnp.arrays(np.intp, 12, elements=st.integers(0, 1))


def as_boxes(points):
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def greedy(xyxy, score, kind, max_iou):
    """Greedy suppression that visits boxes one by one, as in textbooks."""
    overlap, kept = decode.iou(xyxy, xyxy), []
    for row in np.argsort(-score, kind="stable"):
        if all(kind[row] != kind[k] or overlap[k, row] <= max_iou for k in kept):
            kept.append(row)
    return kept


@given(corners)
def test_iou_is_symmetric_and_between_0_and_1(points):
    boxes = as_boxes(points)
    overlap = decode.iou(boxes, boxes)
    assert np.allclose(overlap, overlap.T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-6)).all()


@given(corners)
def test_a_box_overlaps_itself_wholly_unless_it_has_no_area(points):
    boxes = as_boxes(points)
    has_area = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    assert np.allclose(np.diag(decode.iou(boxes, boxes)), has_area, atol=1e-3)


def test_iou_of_half_overlapping_boxes_is_a_third():
    first = np.array([[0, 0, 2, 2]], np.float32)
    second = np.array([[1, 0, 3, 2]], np.float32)
    assert decode.iou(first, second)[0, 0] == pytest.approx(1 / 3)


@given(corners, scores, kinds, st.floats(0.05, 0.95))
def test_suppression_at_once_keeps_what_visiting_one_by_one_keeps(points, score, kind, max_iou):
    boxes = as_boxes(points)
    assert decode.nms(boxes, score, kind, max_iou).tolist() == greedy(boxes, score, kind, max_iou)


@given(corners, scores, kinds)
def test_suppression_is_idempotent(points, score, kind):
    boxes = as_boxes(points)
    rows = decode.nms(boxes, score, kind, 0.5)
    again = decode.nms(boxes[rows], score[rows], kind[rows], 0.5)
    assert again.tolist() == list(range(len(rows)))


def test_suppression_does_not_mix_images_and_bounds_a_noisy_one():
    same = np.tile(np.array([[0, 0, 10, 10]], np.float32), (600, 1))
    apart = same + np.arange(600, dtype=np.float32)[:, None] * 20
    found = decode.Candidates(
        image=np.repeat([0, 1], 600),
        xyxy=np.concatenate([same, apart]),
        score=np.full(1200, 0.5, np.float32),
        category=np.zeros(1200, np.intp),
        landmarks=np.zeros((1200, 0, 2), np.float32),
    )
    assert [len(kept.score) for kept in decode.suppress(found, 0.5, per_image=300)] == [1, 300]


def test_suppression_of_nothing_is_nothing():
    nothing = decode.nanodet(nanodet_outputs(), HEAD, PERSON, 0.5)
    assert decode.suppress(nothing, 0.5) == []


def nanodet_outputs(images=1, classes=3, bins=8):
    heads = [np.zeros((images, cells, classes), np.float32) for cells in CELLS]
    return heads + [np.zeros((images, cells, 4 * bins), np.float32) for cells in CELLS]


@given(
    level=st.integers(0, 2),
    reach=hnp.arrays(np.intp, 4, elements=st.integers(0, 7)),
    place=st.floats(0, 0.999),
    image=st.integers(0, 1),
)
def test_nanodet_places_a_box_where_its_cell_and_distances_say(level, reach, place, image):
    outputs, stride = nanodet_outputs(images=2), decode.STRIDES[level]
    cell = int(place * CELLS[level])
    outputs[level][image, cell, 0] = 0.9
    outputs[3 + level][image, cell].reshape(4, 8)[np.arange(4), reach] = 100.0
    found = decode.nanodet(outputs, HEAD, PERSON, 0.5)
    column, row = cell % (SIDE // stride), cell // (SIDE // stride)
    center = np.array([column + 0.5, row + 0.5]) * stride
    expected = np.concatenate([center - reach[:2] * stride, center + reach[2:] * stride])
    assert found.image.tolist() == [image]
    assert found.xyxy[0] == pytest.approx(expected, abs=1e-3)


def test_nanodet_spreads_its_distance_over_the_bins():
    outputs = nanodet_outputs()
    outputs[0][0, 0, 0] = 0.9
    found = decode.nanodet(outputs, HEAD, PERSON, 0.5)
    assert found.xyxy[0] == pytest.approx([4 - 28, 4 - 28, 4 + 28, 4 + 28], abs=1e-3)


def test_a_class_that_is_not_wanted_is_not_found():
    outputs = nanodet_outputs()
    outputs[1][0, 3, 2] = 0.99
    assert len(decode.nanodet(outputs, HEAD, PERSON, 0.5).score) == 0
    wanted = np.array([0, 2], np.intp)
    assert decode.nanodet(outputs, HEAD, wanted, 0.5).category.tolist() == [1]


def test_looking_for_no_class_finds_nothing():
    outputs = nanodet_outputs()
    outputs[0][:] = 1.0
    assert len(decode.nanodet(outputs, HEAD, np.zeros(0, np.intp), 0.5).score) == 0


def test_nanodet_outputs_in_the_wrong_order_are_refused():
    with pytest.raises(EngineFailure, match="output names"):
        decode.nanodet(nanodet_outputs()[::-1], HEAD, PERSON, 0.5)


@pytest.mark.parametrize(("normalized", "unit"), [(False, 1), (True, SIDE)])
def test_yolov8_reads_centers_and_sizes_in_pixels_or_in_sides(normalized, unit):
    tensor = np.zeros((2, 4 + 3, sum(CELLS)), np.float32)
    tensor[1, :4, 6] = np.array([32, 24, 10, 5]) / unit
    tensor[1, 4, 6] = 0.8
    found = decode.yolov8([tensor], HEAD, PERSON, 0.5, normalized=normalized)
    assert found.image.tolist() == [1]
    assert found.xyxy[0] == pytest.approx([27, 21.5, 37, 26.5])


@pytest.mark.parametrize("shape", [(1, 6, sum(CELLS)), (1, 7, 10), (7, sum(CELLS))])
def test_a_yolov8_tensor_of_another_network_is_refused(shape):
    with pytest.raises(EngineFailure, match="yolov8"):
        decode.yolov8([np.zeros(shape, np.float32)], HEAD, PERSON, 0.5, normalized=False)


@pytest.mark.parametrize("order", [[3, 4, 5, 0, 1, 2], [2, 1, 0, 5, 4, 3], [0, 1, 2], []])
def test_nanodet_outputs_in_any_other_order_are_refused(order):
    outputs = nanodet_outputs(bins=4)
    with pytest.raises(EngineFailure, match="output names"):
        decode.nanodet([outputs[i] for i in order], HEAD, PERSON, 0.5)


def yunet_outputs(images=1):
    return [np.zeros((images, cells, n), np.float32) for n in (1, 1, 4, 10) for cells in CELLS]


@given(level=st.integers(0, 2), place=st.floats(0, 0.999), size=st.floats(-1, 1, width=16))
def test_yunet_places_a_face_and_its_landmarks_by_cell(level, place, size):
    outputs, stride = yunet_outputs(), decode.STRIDES[level]
    cell = int(place * CELLS[level])
    classes, objectness, boxes, points = outputs[level::3]
    classes[0, cell], objectness[0, cell] = 0.81, 1.0
    boxes[0, cell] = [0.5, 0.25, size, 0]
    points[0, cell] = np.arange(10) / 10
    found = decode.yunet(outputs, HEAD, 0.5)
    column, row = cell % (SIDE // stride), cell // (SIDE // stride)
    half = np.exp(size) * stride / 2
    assert found.score[0] == pytest.approx(0.9)
    assert (found.xyxy[0, 0] + found.xyxy[0, 2]) / 2 == pytest.approx((column + 0.5) * stride)
    assert found.xyxy[0, 2] - found.xyxy[0, 0] == pytest.approx(2 * half, rel=1e-4)
    last_mark = np.array([column + 0.8, row + 0.9]) * stride
    assert found.landmarks[0, 4] == pytest.approx(last_mark, rel=1e-4)


def test_yunet_outputs_in_the_wrong_order_are_refused():
    with pytest.raises(EngineFailure, match="yunet"):
        decode.yunet(yunet_outputs()[::-1], HEAD, 0.5)


def found(*rows):
    """Return DetectionOutput's rows of one image, ended as OpenVINO ends them."""
    ended = [[0, label, score, *box] for label, score, box in rows] + [[-1] + [0] * 6]
    stale = [[0, 0, 0.99, 0, 0, 1, 1]]
    return np.array([ended + stale * (5 - len(ended))], np.float32)


def test_detection_output_is_read_up_to_its_end_in_pixels_of_the_input():
    outputs = [
        np.stack(
            [
                found((0, 0.9, (0.25, 0.5, 0.5, 1.0)), (0, 0.1, (0, 0, 1, 1))),
                found((1, 0.8, (0, 0, 1, 1)), (0, 0.7, (0, 0, 0.5, 0.5)), (2, 0.6, (0, 0, 1, 1))),
            ]
        )
    ]
    seen = decode.detection_output(outputs, HEAD, np.array([0, 2], np.intp), 0.3)
    assert seen.image.tolist() == [0, 1, 1]
    assert seen.category.tolist() == [0, 0, 1]
    assert seen.score == pytest.approx([0.9, 0.7, 0.6])
    assert seen.xyxy[:2].tolist() == [[16, 32, 32, 64], [0, 0, 32, 32]]


def test_boxes_and_labels_are_read_without_their_empty_rows():
    boxes, labels = np.zeros((2, 4, 5), np.float32), np.zeros((2, 4), np.float32)
    boxes[0, 0], labels[0, 0] = [1, 2, 30, 40, 0.9], 1
    boxes[1, :3, 4], labels[1, :3] = [0.8, 0.7, 0.2], [0, 2, 0]
    seen = decode.boxes_and_labels([boxes, labels], HEAD, np.array([0, 1], np.intp), 0.3)
    assert seen.image.tolist() == [0, 1]
    assert seen.category.tolist() == [1, 0]
    assert seen.score == pytest.approx([0.9, 0.8])
    assert seen.xyxy[0].tolist() == [1, 2, 30, 40]


@pytest.mark.parametrize("read", [decode.detection_output, decode.boxes_and_labels])
def test_lists_of_other_shapes_are_refused_and_no_class_means_no_candidate(read):
    with pytest.raises(EngineFailure, match="decoder"):
        read([np.zeros((1, 4, 5), np.float32)], HEAD, PERSON, 0.3)
    nothing = np.zeros(0, np.intp)
    empty = [np.zeros((1, 1, 4, 7), np.float32)]
    if read is decode.boxes_and_labels:
        empty = [np.ones((1, 4, 5), np.float32), np.ones((1, 4), np.float32)]
    assert len(read(empty, HEAD, nothing, 0.3).score) == 0
