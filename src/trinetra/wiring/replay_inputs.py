"""Loads the inputs of a replay: site, face model, and the people known at its start."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from trinetra.adapters.disk import gallery_file
from trinetra.adapters.disk.temp_copies import temp_copy_folder
from trinetra.adapters.qdrant_edge.gallery_copy import copy_gallery
from trinetra.errors import ConfigurationError, GalleryUnavailable
from trinetra.events.customers import CustomerDirectory
from trinetra.models.calibration import calibrated
from trinetra.models.manifest import FaceEmbedderModel, load_manifest
from trinetra.replay.event_history import EventHistory, FileHistory
from trinetra.replay.recording import Recording
from trinetra.settings import Settings
from trinetra.site import Site, load_site
from trinetra.twin.shop import built_in_shop
from trinetra.values import GalleryEntry, SiteId
from trinetra.wiring.connections import open_gallery
from trinetra.wiring.event_history import SITE_FILE, read_people
from trinetra.wiring.plate_key import plate_key
from trinetra.wiring.replay import ReplayInputs
from trinetra.wiring.simulation import site_of

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class PreparedReplay:
    """The inputs of a replay, and notes for the user on how they differ from what was live."""

    inputs: ReplayInputs
    notes: tuple[str, ...]


async def prepare_replay(
    past: EventHistory,
    recording: Recording,
    settings: Settings,
    site: Path | None,
    gallery: Path | None,
) -> PreparedReplay:
    """Return the inputs for a recording, with the people who were known when it began.

    ``gallery`` is a file that ``trinetra gallery export`` wrote. Without it, a recording from the
    log starts with a copy of the present gallery, and one from a file with an empty gallery.
    Nothing is written outside of a temporary folder. Raises ConfigurationError, GalleryUnavailable,
    StoreUnavailable or StorageFull.
    """
    model = _model(recording, settings)
    chosen = _site(recording.site_id, site)
    people, known, notes = CustomerDirectory(), list[GalleryEntry](), list[str]()
    if gallery is not None:
        known = _exported(gallery, model)
    elif not isinstance(past, FileHistory):
        known, note = await _copied(settings, model)
        notes += note
    if not isinstance(past, FileHistory):
        people = await read_people(settings, before=recording.first_at)
    entries = [entry for entry in known if entry.first_seen < recording.first_at]
    if not entries:
        notes.append(
            "the gallery is empty when the recording begins: every person is new at first sight"
        )
    inputs = ReplayInputs(chosen, model, entries, people, plate_key(chosen, settings, makes=False))
    return PreparedReplay(inputs, tuple(notes))


def _site(site_id: SiteId, path: Path | None) -> Site:
    """Return the site that the events are from."""
    if path is None and SITE_FILE.exists():
        path = SITE_FILE
    site = load_site(path) if path else site_of(built_in_shop())
    if site.site_id != site_id:
        raise ConfigurationError(
            f"the detections are of site {site_id}, and {path or 'the built-in shop'} is "
            f"{site.site_id}: name their site file with --site"
        )
    return site


def _model(recording: Recording, settings: Settings) -> FaceEmbedderModel:
    """Return the calibrated model that read the faces.

    An unknown model gets the calibration of the profile in use.
    """
    for declared in load_manifest().model:
        if isinstance(declared, FaceEmbedderModel) and declared.version == recording.model:
            return calibrated(declared, settings.data_dir)
    ours = load_manifest().profile(settings.profile).face_embedder
    return msgspec.structs.replace(ours, version=recording.model or ours.version)


def _exported(path: Path, model: FaceEmbedderModel) -> list[GalleryEntry]:
    contents = gallery_file.check(path)
    if (contents.model_version, contents.dimension) != (model.version, model.dimension):
        raise ConfigurationError(
            f"{path} holds faces of {contents.model_version}, the recording those of "
            f"{model.version}: they cannot be compared"
        )
    return [entry for batch in gallery_file.read(path) for entry in batch]


async def _copied(
    settings: Settings, model: FaceEmbedderModel
) -> tuple[list[GalleryEntry], list[str]]:
    """Return the entries of a copy of the gallery, and notes for the user."""
    with temp_copy_folder(settings.data_dir) as folder:
        if settings.gallery == "edge":
            try:
                there = copy_gallery(
                    settings.data_dir / "gallery",
                    folder / "gallery",
                    model_version=model.version,
                )
            except GalleryUnavailable as cause:
                return [], [f"{cause}: give --gallery FILE of `trinetra gallery export` instead"]
            if not there:
                return [], []
            settings = settings.model_copy(update={"data_dir": folder})
        async with open_gallery(settings, model) as opened:
            return [e async for batch in opened.entries(_BATCH) for e in batch], []
