"""Access of endpoints to what the app was built with."""

from typing import Any

from fastapi import Depends, Request

from trinetra.web.backend import Backend

__all__ = ["Backend", "backend"]


def _backend(request: Request) -> Backend:
    found: Backend = request.app.state.backend
    return found


backend: Any = Depends(_backend)
"""Provides the platform to an endpoint."""
