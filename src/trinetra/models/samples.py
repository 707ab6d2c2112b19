"""Finds or fetches the five demo clips, one for each camera role.

Order for each clip: the user's folder, the cache, upstream. No package registry has clips of a
shop, so a machine that reaches nothing else has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2

from trinetra.errors import NoSamples, SampleUnavailable
from trinetra.models.download import Downloader, Transfer, part_of
from trinetra.models.progress import ProgressSink
from trinetra.models.storage import (
    CacheUnusable,
    SourceFailed,
    disk_errors,
    exclusive,
    publish,
    set_aside,
    sha256_of,
)
from trinetra.values import Role

ATTRIBUTION = (
    "Sample clips: Intel, 'sample-videos', https://github.com/intel-iot-devkit/sample-videos, "
    "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), as published or as transcoded by "
    "whoever filled your samples folder."
)
UPSTREAM = "https://github.com/intel-iot-devkit/sample-videos/raw/master"

_LIMIT_BYTES = 256 << 20
_LEAST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One declared clip. Some upstream digests are unknown; a transcoded preview has its own."""

    file: str
    upstream_sha256: str = ""


SAMPLES: Mapping[Role, Sample] = {
    Role.ENTRANCE: Sample("face-demographics-walking.mp4"),
    Role.FACE: Sample("face-demographics-walking-and-pause.mp4"),
    Role.TRACKING: Sample("store-aisle-detection.mp4"),
    Role.BILLING: Sample(
        "one-by-one-person-detection.mp4",
        "a5964aa259099a482a8b360ffc2c57b5a30f84d5919236a4dad01f8e929ac07c",
    ),
    Role.VEHICLE: Sample(
        "car-detection.mp4",
        "d31e0ebf194cc16e50eea784e7c3b0b1bb7976a4fb9b3fec26cb92a6704cca34",
    ),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip on this machine, and where it comes from."""

    path: Path
    origin: str


def ensure_clips(
    samples_dir: Path | None,
    cache_dir: Path,
    progress: ProgressSink,
    *,
    upstream: str = UPSTREAM,
    downloader: Downloader | None = None,
) -> dict[Role, Clip]:
    """Return a clip for each role, fetching missing ones.

    A role whose clip no source has is left out. Raises NoSamples, naming every source that was
    tried, if there is no clip at all; SampleUnavailable if the user's own is unusable; StorageFull.
    """
    clips = _from_folder(samples_dir) if samples_dir is not None else {}
    if len(clips) == len(SAMPLES):
        return clips
    places = _Places(cache_dir / "samples", upstream, progress)
    failures: list[str] = []
    try:
        with disk_errors(cache_dir), exclusive(places.folder / ".lock"):
            missing = [role for role in SAMPLES if role not in clips]
            clips |= _fetch(missing, places, downloader, failures)
    except CacheUnusable as cause:
        raise SampleUnavailable(f"sample clips: {cause}") from cause
    if not clips:
        raise NoSamples(_nothing_worked(places.folder, failures))
    return {role: clips[role] for role in SAMPLES if role in clips}


@dataclass(frozen=True, slots=True)
class _Places:
    folder: Path
    upstream: str
    progress: ProgressSink


def _from_folder(samples_dir: Path) -> dict[Role, Clip]:
    if not samples_dir.is_dir():
        raise SampleUnavailable(
            f"the samples folder {samples_dir} does not exist; "
            "correct or unset TRINETRA_SAMPLES_DIR"
        )
    clips = {}
    for role, sample in SAMPLES.items():
        path = samples_dir / sample.file
        if path.exists():
            _require_video(path)
            clips[role] = Clip(path, origin=f"folder {samples_dir}")
    return clips


def _require_video(path: Path) -> None:
    if not is_video(path):
        raise SampleUnavailable(
            f"{path} ({path.stat().st_size} bytes) is not a video that can be decoded; "
            "replace it, or remove it to have it fetched"
        )


def _fetch(
    roles: Sequence[Role], places: _Places, downloader: Downloader | None, failures: list[str]
) -> dict[Role, Clip]:
    """Return a clip for as many of the roles as possible, and append failures to the list."""
    clips: dict[Role, Clip] = {}
    with ExitStack() as stack:
        client = downloader or stack.enter_context(Downloader())
        for role in roles:
            try:
                clips[role] = _cached(role, places) or _from_upstream(role, places, client)
            except SourceFailed as failure:
                failures.append(str(failure))
    return clips


def _nothing_worked(folder: Path, failures: Iterable[str]) -> str:
    tried = "".join(f"\n  - {failure}" for failure in failures)
    return (
        f"there are no sample clips in TRINETRA_SAMPLES_DIR or {folder}, and no source had them:"
        f"{tried}\nPut {', '.join(sample.file for sample in SAMPLES.values())} into a folder and "
        "name the folder with TRINETRA_SAMPLES_DIR."
    )


def _cached(role: Role, places: _Places) -> Clip | None:
    path = places.folder / SAMPLES[role].file
    if not path.exists():
        return None
    if _is_wanted(path, SAMPLES[role].upstream_sha256):
        return Clip(path, origin=f"cache {places.folder}")
    damaged = set_aside(path)
    places.progress.note(f"{path} is damaged: moved to {damaged.name}, fetching it again")
    return None


def _from_upstream(role: Role, places: _Places, downloader: Downloader) -> Clip:
    sample = SAMPLES[role]
    path = places.folder / sample.file
    url = f"{places.upstream}/{sample.file}"
    part = part_of(path)
    downloader.download(Transfer(url, part, _LIMIT_BYTES, sample.file, places.progress))
    if not _is_wanted(part, sample.upstream_sha256):
        found = sha256_of(part)
        damaged = set_aside(part)
        raise SourceFailed(f"{url}: not the expected video (sha256 {found}); kept as {damaged}")
    publish(part, path)
    return Clip(path, origin=url)


def _is_wanted(path: Path, sha256: str) -> bool:
    if sha256:
        return sha256_of(path) == sha256
    return path.stat().st_size >= _LEAST_BYTES and is_video(path)


def is_video(path: Path) -> bool:
    """Return whether the file's first picture can be decoded."""
    capture = cv2.VideoCapture(str(path))
    try:
        decoded, _picture = capture.read()
        return bool(decoded)
    finally:
        capture.release()
