"""Pictures of cameras that are frozen, covered, or turned to another view."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from trinetra.frames.sampling.motion import Luma
from trinetra.frames.sampling.view import PictureProblem, ViewConfig, ViewWatch, spread

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NONE: frozenset[PictureProblem] = frozenset()
WIDTH, HEIGHT = 128, 72


def room(seed: int = 1) -> Luma:
    """Return a view with shelves and walls."""
    random = np.random.default_rng(seed)
    picture = np.full((HEIGHT * 2, WIDTH * 2), 90, np.uint8)
    for _ in range(40):
        x, y = random.integers(0, WIDTH * 2 - 30), random.integers(0, HEIGHT * 2 - 30)
        width, height = random.integers(10, 60), random.integers(10, 40)
        picture[y : y + height, x : x + width] = random.integers(20, 230)
    return picture


def seen(picture: Luma, number: int = 0, *, shift: int = 0) -> Luma:
    """Return a small noisy picture of a view, turned by so many of its pixels."""
    noise = np.random.default_rng(number).normal(0, 2, (HEIGHT, WIDTH))
    part = picture[shift : shift + HEIGHT, shift : shift + WIDTH]
    return np.clip(part + noise, 0, 255).astype(np.uint8)


class Camera:
    """A watch that is shown a picture every two seconds."""

    def __init__(self, config: ViewConfig | None = None) -> None:
        self.watch = ViewWatch(config or ViewConfig())
        self.number = 0

    def show(self, picture: Luma) -> frozenset[PictureProblem]:
        self.number += 1
        at = NOON + timedelta(seconds=2 * self.number)
        assert self.watch.is_due(at)
        return self.watch.update(at, picture)

    def learn(self, picture: Luma) -> "Camera":
        for number in range(12):
            assert self.show(seen(picture, number)) == NONE
        return self


def test_the_same_view_is_no_problem_whatever_the_light() -> None:
    camera, view = Camera().learn(room()), room()
    darker = (view * 0.4).astype(np.uint8)
    assert [camera.show(seen(each, 50)) for each in (view, darker, view)] == [NONE] * 3


def test_a_camera_that_was_turned_shows_another_view() -> None:
    camera = Camera().learn(room())
    assert camera.show(seen(room(), 20, shift=12)) == {"moved"}
    assert camera.show(seen(room(), 21)) == NONE


def test_a_view_that_lasts_is_the_new_one() -> None:
    camera = Camera(ViewConfig(accept_after_s=10.0)).learn(room())
    found = [camera.show(seen(room(2), number)) for number in range(8)]
    assert found == [{"moved"}] * 6 + [NONE] * 2


def test_a_covered_lens_shows_nothing() -> None:
    camera = Camera().learn(room())
    hand = np.full((HEIGHT, WIDTH), 20, np.uint8)
    assert camera.show(hand + (np.arange(WIDTH) % 3).astype(np.uint8)) == {"covered"}
    assert camera.show(seen(room(), 30)) == NONE


def test_a_picture_without_any_noise_is_frozen_after_a_while() -> None:
    camera, still = Camera(), seen(room())
    found = [camera.show(still) for _ in range(17)]
    assert found[:15] == [NONE] * 15
    assert found[16] == {"frozen"}
    assert camera.show(seen(room(), 9)) == NONE


def test_another_size_of_the_picture_starts_anew() -> None:
    camera = Camera().learn(room())
    assert camera.show(room()) == NONE


CLIPS = [
    "classroom.mp4",
    "one-by-one-person-detection.mp4",
    "people-detection.mp4",
    "store-aisle-detection.mp4",
]


@pytest.mark.clips
@pytest.mark.parametrize("name", CLIPS)
def test_real_views_stay_and_real_cameras_that_turn_are_noticed(clips_dir: Path, name: str) -> None:
    pictures = list(_frames(clips_dir / name))
    camera = Camera()
    for picture in (pictures * 12)[:12]:
        camera.show(_small(picture))
    assert all(camera.show(_small(picture)) == NONE for picture in pictures)
    assert all(camera.show(_small(_turned(picture))) == {"moved"} for picture in pictures[:5])
    assert all(spread(_small(picture)) > 3 * ViewConfig().least_spread for picture in pictures)


def _frames(path: Path) -> Iterator[Luma]:
    """Yield a frame every five seconds, at most 20."""
    with av.open(path) as clip:
        due = 0.0
        for number, frame in enumerate(clip.decode(video=0)):
            if number > 1500:
                return
            if frame.time >= due:
                due = frame.time + 5.0
                yield frame.reformat(320, 180, format="gray").to_ndarray()


def _small(picture: Luma) -> Luma:
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _turned(picture: Luma) -> Luma:
    """Return a picture as after the camera was turned by a tenth of its view."""
    height, width = picture.shape
    by = np.array([[1, 0, 0.1 * width], [0, 1, 0.05 * height]], np.float32)
    return cv2.warpAffine(picture, by, (width, height), borderMode=cv2.BORDER_REFLECT)
