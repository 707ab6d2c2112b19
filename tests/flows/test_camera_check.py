"""`trinetra check --connect`: what the cameras deliver, and their pictures with lines and zones."""

import json
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers.clips import jpeg, write_clip
from tests.servers.mjpeg_camera import MjpegCamera
from tests.servers.rtsp_camera import Mood, RtspCamera
from typer.testing import CliRunner, Result

from trinetra.adapters.video.overlay import in_arrow
from trinetra.commands.application import app
from trinetra.insights.camera.geometry import Ruler
from trinetra.site import EXAMPLE

SECRET = "Geheim77"
LINE = {"id": "doorstep", "a": [0.9, 0.6], "b": [0.1, 0.6]}
QUEUE = {"id": "queue", "kind": "queue", "polygon": [[0.1, 0.7], [0.5, 0.7], [0.5, 0.9]]}


def check(folder: Path, sources: dict[str, dict[str, Any]], *options: str) -> Result:
    cameras = [
        {"id": name, "role": "tracking", "source": source, "lines": [LINE], "zones": [QUEUE]}
        for name, source in sources.items()
    ]
    site = folder / "shop.yaml"
    site.write_text(json.dumps({"site": "shop", "timezone": "UTC", "cameras": cameras}))
    return CliRunner().invoke(app, ["check", str(site), "--connect", *options])


def test_every_camera_is_tried_and_shown_with_what_it_delivers(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=60, fps=15)
    with RtspCamera(clip) as rtsp, MjpegCamera([jpeg(160, 120, n) for n in range(9)]) as http:
        sources = {"a": {"url": rtsp.url}, "b": {"url": http.url}, "c": {"file": "clip.mp4"}}
        checked = check(tmp_path, sources, "--json")
    assert checked.exit_code == 0
    told = json.loads(checked.stdout)["cameras"]
    assert {name: (c["codec"], c["width"], c["height"]) for name, c in told.items()} == {
        "a": ("h264", 192, 128),
        "b": ("mjpeg", 160, 120),
        "c": ("h264", 192, 128),
    }
    assert told["c"]["fps"] == 15.0
    assert told["a"]["fps"] == pytest.approx(15.0, rel=0.3)
    folder = tmp_path / "shop-cameras"
    assert sorted(path.name for path in folder.iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
    assert modes == [0o700, 0o600, 0o600, 0o600]


def test_the_runs_of_the_detector_on_a_camera_with_tiles_are_told(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), np.full((360, 640, 3), 100, np.uint8))
    camera = {"id": "hall", "role": "tracking", "source": {"images": "pictures"}, "tiles": 3}
    site = tmp_path / "shop.yaml"
    site.write_text(json.dumps({"site": "shop", "timezone": "UTC", "cameras": [camera]}))
    shown = CliRunner().invoke(app, ["check", str(site), "--connect"])
    assert "640x360, one frame, 7 runs of the detector a frame" in shown.stdout
    told = CliRunner().invoke(app, ["check", str(site), "--connect", "--json"])
    assert json.loads(told.stdout)["cameras"]["hall"]["detector_runs"] == 7


def test_lines_zones_and_the_in_side_are_drawn_on_the_picture(tmp_path: Path) -> None:
    gray = np.full((480, 640, 3), 100, np.uint8)
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), gray)
    assert check(tmp_path, {"door": {"images": "pictures"}}).exit_code == 0
    drawn = cv2.imread(str(tmp_path / "shop-cameras" / "door.jpg")).astype(int)
    assert drawn.shape == gray.shape
    red, green, blue = (
        np.argwhere(drawn[..., channel] > drawn[..., others].max(axis=2) + 60)
        for channel, others in ((2, [0, 1]), (1, [0, 2]), (0, [1, 2]))
    )
    assert abs(np.median(red[:, 0]) - 0.6 * 480) < 4
    assert green[:, 0].mean() < 0.6 * 480  # upward, because a is at the right edge
    assert blue[:, 0].mean() > 0.6 * 480


@given(*[st.floats(0.0, 1.0)] * 4)
def test_the_arrow_points_to_the_side_that_counts_as_in(
    ax: float, ay: float, bx: float, by: float
) -> None:
    a, b, size = np.array([ax, ay]), np.array([bx, by]), np.array([640.0, 480.0])
    if np.abs(a - b).max() < 0.01:
        return
    _, tip = in_arrow(a * size, b * size, 50.0)
    distance = Ruler.of((ax, ay), (bx, by), 640 / 480).distance(tuple(tip / size))
    assert distance > 0


def test_cameras_that_fail_are_told_with_their_reason_and_without_secrets(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=30)
    (tmp_path / "empty.mp4").touch()
    with RtspCamera(clip, user="u", password=SECRET) as locked, RtspCamera(clip) as silent:
        silent.mood = Mood.SILENT
        sources = {
            "locked": {"url": locked.url},
            "silent": {"url": silent.url, "timeout_s": 1},
            "absent": {"url": f"rtsp://127.0.0.1:1/user=a_password={SECRET}?pwd={SECRET}"},
            "unset": {"url": locked.url, "username_env": "NO_SUCH_USER"},
            "empty": {"file": "empty.mp4"},
            "good": {"file": "clip.mp4"},
        }
        checked = check(tmp_path, sources)
    assert checked.exit_code == 1
    for name, reason in {
        "locked": "check the credentials",
        "silent": "did not answer within 1 s",
        "absent": "cannot be reached",
        "unset": "needs NO_SUCH_USER",
        "empty": "cannot be read as video",
        "good": "h264 192x128",
    }.items():
        (line,) = [li for li in checked.output.splitlines() if li.startswith(f"{name}: ")]
        assert reason in line
    assert "empty.mp4 is empty (0 bytes)" in checked.output
    assert SECRET not in checked.output


def test_the_example_is_not_connected_to(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(EXAMPLE, encoding="utf-8")
    checked = CliRunner().invoke(app, ["check", str(site), "--connect"])
    assert checked.exit_code == 1
    assert checked.output.count("is a placeholder: write the camera's address") == 5


def test_pictures_go_where_they_are_told_to(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=5)
    checked = check(tmp_path, {"c": {"file": "clip.mp4"}}, "--pictures", str(tmp_path / "here"))
    assert checked.exit_code == 0
    assert (tmp_path / "here" / "c.jpg").exists()
