"""Tries all cameras of a site, and saves a picture of each with its lines and zones."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from trinetra.adapters.disk.private_folder import make_private
from trinetra.adapters.video.overlay import Shapes, draw
from trinetra.adapters.video.probe import Probe, probe
from trinetra.detections.vision.tiles import passes
from trinetra.errors import ConfigurationError, SourceUnavailable, StorageFull
from trinetra.ports import Clock
from trinetra.site import Camera, Site
from trinetra.wiring.config import source_spec

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """Outcome for one camera: what it delivered and where its picture is, or the problem.

    ``detector_runs`` is how often the detector looks at each frame, in the whole and in tiles.
    """

    camera_id: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    detector_runs: int = 1
    picture: Path | None = None
    problem: str | None = None


def check_cameras(
    site: Site, environ: Mapping[str, str], folder: Path, clock: Clock
) -> Sequence[CameraCheck]:
    """Try every camera, up to 16 at once; save their pictures in a folder for the owner alone.

    Raises StorageFull if the folder or a picture cannot be written.
    """
    try:
        make_private(folder)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as pool:
            return list(
                pool.map(lambda camera: _check(camera, environ, folder, clock), site.cameras)
            )
    except OSError as cause:
        raise StorageFull(
            f"{folder} cannot be written: {cause.strerror}; free space, or choose another folder "
            "with --pictures"
        ) from cause


def _check(camera: Camera, environ: Mapping[str, str], folder: Path, clock: Clock) -> CameraCheck:
    try:
        found = probe(source_spec(camera, environ, clock.now()), clock)
    except (SourceUnavailable, ConfigurationError) as problem:
        return CameraCheck(camera.id, problem=str(problem))
    return CameraCheck(
        camera.id,
        found.codec,
        found.width,
        found.height,
        round(found.fps, 1),
        passes(found.width, found.height, camera.tiles),
        _save(camera, found, folder),
    )


def _save(camera: Camera, found: Probe, folder: Path) -> Path:
    shapes = Shapes(
        [(line.id, line.a, line.b) for line in camera.lines],
        [(zone.id, zone.polygon) for zone in camera.zones],
    )
    _, jpeg = cv2.imencode(".jpg", draw(found.picture, shapes))
    path = folder / f"{camera.id}.jpg"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(jpeg.tobytes())
    return path
