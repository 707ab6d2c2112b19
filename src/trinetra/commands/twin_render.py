"""``trinetra twin run --render``: a film of every camera, and one of the floor."""

from collections.abc import Iterable
from pathlib import Path

from trinetra.adapters.video.h264 import VideoWriter
from trinetra.commands.console import note
from trinetra.errors import ConfigurationError
from trinetra.twin.film import TOP_FPS, TOP_VIEW, Films
from trinetra.twin.world import World
from trinetra.values import ImageBgr


def render(world: World, folder: Path) -> list[Path]:
    """Write ``CAMERA.mp4`` for every camera and ``top.mp4``; return their paths.

    Raises ConfigurationError where the folder cannot be made, StorageFull on a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be created: {error.strerror}") from error
    films = Films(world)
    written = []
    for index, view in enumerate(world.plan.views):
        path = folder / f"{view.camera_id}.mp4"
        _write(path, (view.width, view.height), view.fps, films.camera(index))
        written.append(path)
    top = films.top
    path = folder / f"{TOP_VIEW}.mp4"
    _write(path, (top.width, top.height), TOP_FPS, films.floor())
    return [*written, path]


def _write(path: Path, size: tuple[int, int], fps: float, pictures: Iterable[ImageBgr]) -> None:
    note(f"drawing {path}")
    with VideoWriter(path, *size, fps) as film:
        for picture in pictures:
            film.write(picture)
