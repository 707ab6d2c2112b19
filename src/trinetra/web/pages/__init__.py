"""Dashboard: server-rendered pages, each of which reads only ``/v1``."""

from fastapi import APIRouter

from trinetra.web.pages import (
    alerts,
    audit,
    customers,
    floor,
    health,
    journeys,
    live,
    login,
    queues,
    reports,
    setup,
    today,
    users,
    vehicles,
)

_PAGES = (
    alerts,
    audit,
    customers,
    floor,
    health,
    journeys,
    live,
    login,
    queues,
    reports,
    setup,
    today,
    users,
    vehicles,
)


def pages_router() -> APIRouter:
    """Return the routes of all pages."""
    router = APIRouter(include_in_schema=False)
    for page in _PAGES:
        router.include_router(page.router)
    return router
