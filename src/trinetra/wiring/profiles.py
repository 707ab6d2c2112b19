"""Chooses the model profile that the settings name, and fetches its networks."""

from pathlib import Path

from trinetra.models.fetch import ensure_model
from trinetra.models.manifest import Profile, load_manifest
from trinetra.models.progress import ProgressSink
from trinetra.settings import Settings


def choose_profile(settings: Settings) -> Profile:
    """Return the profile that the settings name. Raises ConfigurationError."""
    return load_manifest().profile(settings.profile)


def ensure_models(profile: Profile, settings: Settings, progress: ProgressSink) -> dict[str, Path]:
    """Return the checked file of every network of a profile, by name; fetches what is missing."""
    return {
        model.name: ensure_model(
            model,
            models_dir=settings.models_dir,
            cache_dir=settings.cache_dir,
            progress=progress,
        )
        for model in profile.models
    }
