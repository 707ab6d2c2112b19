"""Search order for the demo clips, and validation of candidates."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from trinetra.errors import NoSamples, SampleUnavailable
from trinetra.models.samples import SAMPLES, ensure_clips
from trinetra.values import Role

FREE_DIGEST = [role for role, sample in SAMPLES.items() if not sample.upstream_sha256]


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> bytes:
    """A real clip of noise, large enough to be accepted as a sample."""
    path = tmp_path_factory.mktemp("video") / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    noise = np.random.default_rng(3)
    for _ in range(15):
        writer.write(noise.integers(0, 256, (120, 160, 3), np.uint8))
    writer.release()
    content = path.read_bytes()
    assert len(content) > 100_000
    return content


@pytest.fixture
def samples_dir(tmp_path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


@pytest.fixture
def ensure(tmp_path, progress, site, downloader):
    def find(samples_dir: Path | None = None):
        return ensure_clips(
            samples_dir, tmp_path / "cache", progress, upstream=site.url, downloader=downloader
        )

    return find


@pytest.mark.clips
def test_the_sample_folder_has_a_clip_for_every_role(clips_dir, ensure, site) -> None:
    clips = ensure(clips_dir)
    assert list(clips) == list(Role)
    assert {clip.path.parent for clip in clips.values()} == {clips_dir}
    assert site.asked == []


@pytest.mark.clips
def test_upstream_clips_with_a_known_digest_are_accepted(clips_dir, ensure, site) -> None:
    known = {role: sample for role, sample in SAMPLES.items() if sample.upstream_sha256}
    for sample in known.values():
        site.files[sample.file] = (clips_dir / sample.file).read_bytes()
    clips = ensure()
    assert list(clips) == list(known)
    assert clips[Role.VEHICLE].origin == f"{site.url}/car-detection.mp4"


def test_missing_clips_come_from_upstream_and_then_from_the_cache(ensure, site, video) -> None:
    for role in FREE_DIGEST:
        site.files[SAMPLES[role].file] = video
    first, asked = ensure(), len(site.asked)
    assert list(first) == FREE_DIGEST
    again = ensure()
    assert again[Role.FACE].path == first[Role.FACE].path
    assert again[Role.FACE].origin.startswith("cache")
    assert len(site.asked) == asked + len(SAMPLES) - len(FREE_DIGEST)


def test_only_what_the_folder_lacks_is_fetched(ensure, site, video, samples_dir) -> None:
    (samples_dir / SAMPLES[Role.VEHICLE].file).write_bytes(video)
    site.files[SAMPLES[Role.FACE].file] = video
    clips = ensure(samples_dir)
    assert clips[Role.VEHICLE].path.parent == samples_dir
    assert clips[Role.FACE].origin.startswith(site.url)
    assert SAMPLES[Role.VEHICLE].file not in {name for name, _wanted in site.asked}


def test_a_broken_clip_in_the_users_folder_is_reported(ensure, samples_dir) -> None:
    (samples_dir / SAMPLES[Role.FACE].file).write_bytes(b"no video")
    with pytest.raises(SampleUnavailable, match=r"pause\.mp4 \(8 bytes\) is not a video"):
        ensure(samples_dir)


def test_a_samples_folder_that_does_not_exist_is_a_mistake(ensure, tmp_path) -> None:
    with pytest.raises(SampleUnavailable, match=r"does not exist.*TRINETRA_SAMPLES_DIR"):
        ensure(tmp_path / "clisp")


def test_a_web_page_in_place_of_a_clip_is_not_accepted(ensure, site) -> None:
    site.files[SAMPLES[Role.FACE].file] = b"<html>not here" * 10_000
    with pytest.raises(SampleUnavailable, match="not the expected video"):
        ensure()


def test_a_clip_with_another_digest_than_upstream_is_not_accepted(ensure, site, video) -> None:
    site.files[SAMPLES[Role.VEHICLE].file] = video
    with pytest.raises(SampleUnavailable, match=r"car-detection\.mp4: not the expected video"):
        ensure()


def test_a_damaged_cached_clip_is_fetched_again(ensure, site, video, progress) -> None:
    site.files[SAMPLES[Role.FACE].file] = video
    path = ensure()[Role.FACE].path
    path.write_bytes(video[:1000])
    assert ensure()[Role.FACE].path.read_bytes() == video
    assert any("damaged" in note for note in progress.notes)


def test_when_nothing_can_be_had_all_that_was_tried_is_named(ensure, tmp_path) -> None:
    with pytest.raises(NoSamples) as failure:
        ensure()
    message = str(failure.value)
    for sample in SAMPLES.values():
        assert sample.file in message
    for part in ("HTTP status 404", str(tmp_path / "cache"), "TRINETRA_SAMPLES_DIR"):
        assert part in message


def test_a_cache_that_is_no_folder_is_reported_with_the_setting(ensure, tmp_path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(SampleUnavailable, match="TRINETRA_CACHE_DIR"):
        ensure()
