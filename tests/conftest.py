"""Fixtures every test may use: where real clips and weights are."""

import os
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

# A slow machine is not a wrong program: no example has a deadline.
settings.register_profile(
    "steady", settings.get_profile(settings.get_current_profile_name()), deadline=None
)
settings.load_profile("steady")


def _folder(variable: str, what: str) -> Path:
    if variable not in os.environ:
        unavailable(f"{variable} is not set: no {what} here")
    return Path(os.environ[variable])


def unavailable(reason: str) -> NoReturn:
    """Skip what needs real clips or weights, but fail where they are promised to be there."""
    if os.environ.get("TRINETRA_TEST_REQUIRE_SAMPLES"):
        pytest.fail(f"{reason}, and this run must not skip")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """Return the folder of sample clips."""
    return _folder("TRINETRA_SAMPLES_DIR", "sample clips")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Return the folder of ready-made weights."""
    return _folder("TRINETRA_MODELS_DIR", "weights")
