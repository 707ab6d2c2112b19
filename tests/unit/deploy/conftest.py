"""What the tests of the deployment read: the folder, and the compose file."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.conftest import unavailable

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def deploy() -> Path:
    """Return the folder of the deployment."""
    return DEPLOY


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """Return the compose file with its anchors resolved and its variables as they are written."""
    return YAML(typ="safe").load(DEPLOY / "compose.yaml")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return Prometheus' own checker; skip the test where there is none."""
    program = shutil.which("promtool")
    if program is None:
        unavailable(
            "promtool is absent: apt-get install prometheus", "TRINETRA_TEST_REQUIRE_SERVERS"
        )
    return program
