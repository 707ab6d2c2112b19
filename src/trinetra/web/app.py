"""The web application: REST API under ``/v1``, and the dashboard that reads only this."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from trinetra import __version__
from trinetra.web import error_pages, problems
from trinetra.web.access import Authenticator
from trinetra.web.backend import Backend
from trinetra.web.front import Front
from trinetra.web.limits import MAX_BODY_BYTES, RateLimit
from trinetra.web.middleware import Envelope
from trinetra.web.pages import pages_router
from trinetra.web.pages.shared_parts import SharedParts
from trinetra.web.security.security import Security
from trinetra.web.v1 import (
    alerts,
    audits,
    behavior,
    cameras,
    customers,
    events,
    figures,
    insights,
    recordings,
    reports,
    setup,
    site,
    tokens,
    trail,
    transactions,
    users,
)

_V1 = (
    alerts,
    recordings,  # before audits, one of which its address could name
    audits,
    behavior,
    cameras,
    customers,
    events,
    figures,
    insights,
    reports,
    setup,
    site,
    tokens,
    trail,
    transactions,
    users,
)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How the web is served.

    ``is_tls``: browsers reach it by HTTPS alone. ``process`` answers for health, metrics and raw
    events of this process; ``metrics_token`` is what its metrics demand. ``monotonic`` is the clock
    of the rate limits.
    """

    is_tls: bool = False
    process: ASGIApp | None = None
    metrics_token: str | None = None
    monotonic: Callable[[], float] = time.monotonic


def web_app(backend: Backend, security: Security, options: WebOptions | None = None) -> ASGIApp:
    """Return the whole application."""
    options = options or WebOptions()
    app: ASGIApp = inner_app(backend, security.authenticator, security)
    if options.process is not None:
        app = Front(app, options.process, security.authenticator, options.metrics_token)
    app = RateLimit(app, options.monotonic)
    return Envelope(app, is_tls=options.is_tls)


def inner_app(
    backend: Backend, authenticator: Authenticator, security: Security | None = None
) -> FastAPI:
    """Return the application without the envelope, as tests inspect its routes.

    Without ``security`` it has no users: whoever the authenticator recognizes is a caller.
    """
    app = FastAPI(
        title="TRINETRA",
        version=__version__,
        description="Retail analytics from the cameras you already have.",
        docs_url=None,  # would load scripts of another host
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        max_body_size=MAX_BODY_BYTES,
    )
    app.state.backend = backend
    app.state.authenticator = authenticator
    app.state.security = security
    app.state.shared_parts = SharedParts()
    problems.install(app)
    error_pages.install(app)
    app.router.routes.extend(_routes())
    app.mount("/static", StaticFiles(directory=static_folder()), name="static")
    return app


@cache
def _routes() -> Sequence[BaseRoute]:
    """Return the routes of every application; building them takes a third of a second."""
    v1 = APIRouter(prefix="/v1", responses=problems.RESPONSES)
    for module in _V1:
        v1.include_router(module.router)
    routes = APIRouter()
    routes.include_router(v1)
    routes.include_router(pages_router())
    return routes.routes


def static_folder() -> Path:
    """Return the folder of styles, scripts and pictures."""
    return Path(str(resources.files("trinetra.web") / "static"))
