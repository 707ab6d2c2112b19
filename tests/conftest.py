"""Fixtures every test may use: where real clips and weights are."""

import os
from pathlib import Path

import pytest


def _folder(variable: str, what: str) -> Path:
    if not (value := os.environ.get(variable)):
        pytest.skip(f"{variable} is not set: no {what} here")
    return Path(value)


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """Return the folder of sample clips."""
    return _folder("TRINETRA_SAMPLES_DIR", "sample clips")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Return the folder of ready-made weights."""
    return _folder("TRINETRA_MODELS_DIR", "weights")
