"""Pictures and clips that are no good, through the whole platform: counted, all else arrives."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from tests.faults.product import site_file, trinetra
from tests.servers.clips import jpeg, write_clip

from trinetra.events.codec import decode
from trinetra.events.schema import DetectionEvent


def plain(width: int, height: int) -> bytes:
    return simplejpeg.encode_jpeg(np.full((height, width, 3), 90, np.uint8), 80, "BGR")


def claiming(width: int, height: int) -> bytes:
    """Return a small JPEG whose header claims to be a huge one."""
    picture = bytearray(jpeg(64, 64))
    size = picture.index(b"\xff\xc0") + 5
    picture[size : size + 4] = height.to_bytes(2) + width.to_bytes(2)
    return bytes(picture)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    good = jpeg(640, 360)
    for name, content in {
        "a-good": good,
        "b-1x1": plain(1, 1),
        "c-8k": plain(7680, 4320),
        "d-bomb": claiming(65_000, 65_000),
        "e-empty": b"",
        "f-text": b"no picture",
        "g-good": good,
    }.items():
        (folder / f"{name}.jpg").write_bytes(content)
    return folder


@pytest.mark.weights
def test_bad_pictures_and_clips_are_counted_and_the_good_ones_all_arrive(
    pictures: Path, models_dir: Path, tmp_path: Path
) -> None:
    whole = write_clip(tmp_path / "whole.mp4")
    broken = tmp_path / "broken.mp4"
    content = bytearray(whole.read_bytes())
    half, quarter = len(content) // 2, len(content) // 4
    content[half : half + quarter] = b"\xff" * quarter
    broken.write_bytes(content)
    (tmp_path / "text.mp4").write_text("no clip")
    site = site_file(
        tmp_path,
        f"id: photos, role: face, fps: 5, source: {{images: {pictures}, fps: 5}}",
        f"id: broken, role: tracking, source: {{file: {broken}}}",
        f"id: text, role: tracking, source: {{file: {tmp_path / 'text.mp4'}}}",
        f"id: whole, role: tracking, source: {{file: {whole}}}",
    )
    events = tmp_path / "events.jsonl"
    done = trinetra(
        "run", site, "--events", events, folder=tmp_path, TRINETRA_MODELS_DIR=str(models_dir)
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    inferred = {
        name: sum(
            event.camera_id == name
            for event in map(decode, events.read_bytes().splitlines())
            if isinstance(event, DetectionEvent)
        )
        for name in ("photos", "broken", "text", "whole")
    }
    assert inferred["photos"] == 3
    assert inferred["whole"] > 5
    assert 0 < inferred["broken"] < inferred["whole"]
    assert inferred["text"] == 0
    assert "text.mp4 cannot be read as video" in done.stdout
    assert "photos: 4 frames lost (1 too_large, 1 too_small, 2 undecodable)" in done.stdout
