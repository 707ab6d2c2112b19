"""The web application: REST API under ``/v1``, and the dashboard that reads only this."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from trinetra import __version__
from trinetra.web import problems
from trinetra.web.access import Authenticator
from trinetra.web.backend import Backend
from trinetra.web.middleware import Envelope
from trinetra.web.pages import pages_router
from trinetra.web.v1 import alerts, figures, site

_V1 = (site.router, figures.router, alerts.router)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How the web is served; ``is_tls``: browsers reach it by HTTPS alone."""

    is_tls: bool = False


def web_app(
    backend: Backend, authenticator: Authenticator, options: WebOptions | None = None
) -> ASGIApp:
    """Return the whole application."""
    return Envelope(inner_app(backend, authenticator), is_tls=bool(options and options.is_tls))


def inner_app(backend: Backend, authenticator: Authenticator) -> FastAPI:
    """Return the application without the envelope, as tests inspect its routes."""
    app = FastAPI(
        title="TRINETRA",
        version=__version__,
        description="Retail analytics from the cameras you already have.",
        docs_url=None,  # would load scripts of another host
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.backend = backend
    app.state.authenticator = authenticator
    problems.install(app)
    v1 = APIRouter(prefix="/v1")
    for router in _V1:
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(pages_router())
    app.mount("/static", StaticFiles(directory=static_folder()), name="static")
    return app


def static_folder() -> Path:
    """Return the folder of styles, scripts and pictures."""
    return Path(str(resources.files("trinetra.web") / "static"))
