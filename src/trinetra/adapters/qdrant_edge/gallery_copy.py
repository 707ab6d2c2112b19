"""Copies the embedded gallery's files, so that they can be read without changing the original."""

import fcntl
import shutil
from pathlib import Path

from trinetra.adapters.qdrant_edge.gallery import collection_folder
from trinetra.adapters.qdrant_edge.worker import LOCK_FILE
from trinetra.errors import GalleryUnavailable, StorageFull


def copy_gallery(root: Path, target: Path, *, model_version: str) -> bool:
    """Copy a model version's collection under ``target``; return False if there is none.

    Raises GalleryUnavailable while another process has it open, StorageFull when ``target`` cannot
    be written.
    """
    folder = collection_folder(root, model_version)
    if not (folder / LOCK_FILE).is_file():
        return False
    try:
        with (folder / LOCK_FILE).open("rb") as lock:
            # The engine writes its files at any time, so only a closed collection can be copied.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.copytree(folder, collection_folder(target, model_version))
    except BlockingIOError as cause:
        raise GalleryUnavailable(
            f"{folder} is in use by another process; stop it and try again"
        ) from cause
    except OSError as cause:
        raise StorageFull(f"{target} cannot be written: {cause.strerror}; free space") from cause
    return True
