"""Chooses the model profile that the settings name, and fetches its networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trinetra.errors import ModelUnavailable
from trinetra.models.download import Downloader
from trinetra.models.fetch import ensure_model, find_model
from trinetra.models.manifest import AnyModel, Profile, load_manifest
from trinetra.models.progress import ProgressSink, WithoutNotes
from trinetra.settings import Settings

if TYPE_CHECKING:  # imports NumPy, which listing networks does without
    from trinetra.site import Site

_CONNECT_TIMEOUT_S = 3.0
"""Optional networks must not delay each start by much where a firewall drops packets."""


def choose_profile(settings: Settings, site: "Site | None" = None) -> Profile:
    """Return the profile that the settings name, without what the site does not need.

    Raises ConfigurationError.
    """
    chosen = load_manifest().profile(settings.profile)
    if site is None or any(camera.reads_plates for camera in site.cameras):
        return chosen
    return chosen.without_plates()


def ensure_models(profile: Profile, settings: Settings, progress: ProgressSink) -> dict[str, Path]:
    """Return the checked file of every network of a profile, by name; fetches what is missing.

    Optional networks that cannot be had are left out, and named in one note. Raises
    ModelUnavailable for any other, or StorageFull.
    """
    with Downloader() as downloader:
        files = {
            model.name: _ensure(model, settings, progress, downloader) for model in profile.required
        }
    reasons: dict[str, str] = {}
    with Downloader(connect_timeout_s=_CONNECT_TIMEOUT_S) as downloader:
        for model in profile.optional:
            try:
                files[model.name] = _ensure(model, settings, WithoutNotes(progress), downloader)
            except ModelUnavailable as cause:
                reasons[model.name] = str(cause)
    if reasons:
        progress.note(missing_note(reasons))
    return files


def missing_models(profile: Profile, settings: Settings) -> dict[str, str]:
    """Return the optional networks that this machine lacks, with the reason; fetches nothing."""
    reasons = {}
    for model in profile.optional:
        try:
            _require_readable(model, settings)
            if find_here(model, settings) is None:
                reasons[model.name] = model.obtain
        except ModelUnavailable as cause:
            reasons[model.name] = str(cause)
    return reasons


def find_here(model: AnyModel, settings: Settings) -> Path | None:
    """Return a network's file if this machine has it. Raises ModelUnavailable for a wrong one."""
    return find_model(model, models_dir=settings.models_dir, cache_dir=settings.cache_dir)


def missing_note(reasons: Mapping[str, str]) -> str:
    """Return the note about optional networks that are missing; ``reasons`` by their names."""
    *_, advice = next(iter(reasons.values())).splitlines()
    return (
        f"running without {', '.join(reasons)}: results are less accurate. {advice} "
        "'trinetra models list' lists all networks"
    )


def _ensure(
    model: AnyModel, settings: Settings, progress: ProgressSink, downloader: Downloader
) -> Path:
    _require_readable(model, settings)
    return ensure_model(
        model,
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir,
        progress=progress,
        downloader=downloader,
    )


def _require_readable(model: AnyModel, settings: Settings) -> None:
    if model.weights is not None and settings.backend == "onnxruntime":
        raise ModelUnavailable(
            f"{model.name} is an OpenVINO IR, which TRINETRA_BACKEND=onnxruntime cannot read."
        )
