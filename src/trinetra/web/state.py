"""Access of endpoints to what the app was built with."""

from typing import Any, TypeVar

from fastapi import Depends, Request

from trinetra.web.backend import Alerts, Backend
from trinetra.web.problems import NotFound

__all__ = ["Alerts", "Backend", "backend", "needed"]
Part = TypeVar("Part")


def _backend(request: Request) -> Backend:
    found: Backend = request.app.state.backend
    return found


backend: Any = Depends(_backend)
"""Provides the platform to an endpoint."""


def needed(part: Part | None, name: str) -> Part:
    """Return a part of the platform. Raises NotFound if this process does not have it."""
    if part is None:
        raise NotFound(f"{name} are not available here: this process was started without them")
    return part
