"""Photos of real people for simulated ones, read with a progress bar."""

from collections.abc import Sequence
from pathlib import Path

from trinetra.commands.console import note
from trinetra.commands.progress import FetchProgress
from trinetra.settings import Settings
from trinetra.twin.portraits import Portraits
from trinetra.wiring.networks import Networks, load_networks
from trinetra.wiring.portraits import load_portraits
from trinetra.wiring.profiles import choose_profile, ensure_models


def networks_of(settings: Settings) -> Networks:
    """Return the networks of the chosen profile, fetched if they are missing."""
    profile = choose_profile(settings)
    with FetchProgress() as progress:
        files = ensure_models(profile, settings, progress)
    return load_networks(profile, files, settings)


def portraits_in(folders: Sequence[Path], settings: Settings) -> Portraits:
    """Return what a worker makes of the photos in some folders; the first time takes minutes.

    Raises ConfigurationError for folders without photos of people.
    """
    note(f"reading the photos in {', '.join(map(str, folders))}")
    portraits, without_face = load_portraits(folders, networks_of(settings), settings)
    if without_face:
        note(f"{without_face} photos without a face were left out")
    return portraits
