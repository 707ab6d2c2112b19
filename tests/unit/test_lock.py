"""The lock files: complete, hashed, and free of the names of any package registry."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = PROJECT["dependencies"]
DEVELOPMENT = RUNTIME + PROJECT["optional-dependencies"]["dev"]
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+) ", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((REPOSITORY / lock).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("lock", "declared"), [("requirements.lock", RUNTIME), ("requirements-dev.lock", DEVELOPMENT)]
)
def test_every_declared_dependency_is_locked_at_a_version_it_allows(
    lock: str, declared: list[str]
) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, declared):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement}: run `make lock`"


def test_development_and_runtime_use_the_same_versions() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_has_a_hash_and_no_registry_is_named(lock: str) -> None:
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
