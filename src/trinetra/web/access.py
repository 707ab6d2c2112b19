"""Who may do what: permissions, the roles that have them, and the check at every route."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from fastapi import Depends, Request

from trinetra.errors import TrinetraError


class Permission(StrEnum):
    """One kind of access; API tokens name them as scopes."""

    READ_FIGURES = "figures:read"
    """Site, metrics, figures, reports."""
    READ_ALERTS = "alerts:read"
    HANDLE_ALERTS = "alerts:write"
    """Acknowledge, mute, arm."""
    READ_LIVE = "live:read"
    """Pictures of the cameras with blurred faces, and where people are."""
    READ_FACES = "faces:read"
    """Pictures of the cameras without blur."""
    READ_CUSTOMERS = "customers:read"
    """Customers, their visits and evidence; search by photo."""
    WRITE_CUSTOMERS = "customers:write"
    """Enroll, change, merge and split customers."""
    ERASE_CUSTOMERS = "customers:erase"
    READ_EVENTS = "events:read"
    """The stream of events, with pseudonyms of people."""
    READ_HEALTH = "health:read"
    COUNT_LINES = "audits:write"
    """Audit the counts of a line by hand, also from a short recording."""
    READ_SETUP = "setup:read"
    WRITE_SETUP = "setup:write"
    """Change cameras, lines, zones and rules in the site file."""
    READ_TRAIL = "trail:read"
    """The log of privileged operations."""
    MANAGE_USERS = "users:write"
    """Users and API tokens of others."""
    SEND_TRANSACTIONS = "transactions:write"


class Role(StrEnum):
    """A user's role."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"


_VIEWER = frozenset(
    {
        Permission.READ_FIGURES,
        Permission.READ_ALERTS,
        Permission.READ_LIVE,
        Permission.READ_HEALTH,
    }
)
_OPERATOR = _VIEWER | {
    Permission.HANDLE_ALERTS,
    Permission.READ_FACES,
    Permission.READ_CUSTOMERS,
    Permission.WRITE_CUSTOMERS,
    Permission.READ_EVENTS,
    Permission.COUNT_LINES,
    Permission.READ_SETUP,
}
_PRIVACY_OFFICER = _VIEWER | {
    Permission.READ_CUSTOMERS,
    Permission.WRITE_CUSTOMERS,
    Permission.ERASE_CUSTOMERS,
    Permission.READ_SETUP,
    Permission.READ_TRAIL,
}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.PRIVACY_OFFICER: _PRIVACY_OFFICER,
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a request.

    ``csrf_token`` is set for sessions, whose cookie a browser sends by itself: their changes must
    repeat it. ``user_id`` is "" for what is no user: the commands on this machine.
    """

    name: str
    role: Role
    permissions: frozenset[Permission]
    user_id: str = ""
    csrf_token: str | None = None
    locale: str | None = None
    theme: str | None = field(default=None)

    def may(self, permission: Permission) -> bool:
        """Return whether the caller has a permission."""
        return permission in self.permissions


class NotAuthenticated(TrinetraError):
    """The request has no caller: no session, no token, or one that is no longer valid."""


class NotPermitted(TrinetraError):
    """The caller lacks a permission, or the request may come from another web site."""


class Authenticator(Protocol):
    """Finds out who sends a request."""

    async def authenticate(self, request: Request) -> Principal | None:
        """Return the caller by session cookie or bearer token; None if neither is valid."""


PUBLIC = "trinetra_public"
"""Marks an endpoint that needs no login, of which there are few: see ``public``."""
_MARK = "trinetra_access"
Endpoint = Callable[..., Any]


def public(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint as one that needs no login."""
    setattr(endpoint, PUBLIC, True)
    return endpoint


def requires(*permissions: Permission) -> Any:
    """Return a dependency that provides the caller, who has all of these permissions.

    Raises NotAuthenticated or NotPermitted.
    """

    async def caller(request: Request) -> Principal:
        principal = await principal_of(request)
        if principal is None:
            raise NotAuthenticated("log in, or send an API token: Authorization: Bearer TOKEN")
        if lacking := [p for p in permissions if not principal.may(p)]:
            raise NotPermitted(
                f"this needs the permission {lacking[0].value}, which {principal.name} "
                f"({principal.role.value}) does not have; ask an administrator"
            )
        return principal

    setattr(caller, _MARK, permissions)
    return Depends(caller)


async def principal_of(request: Request) -> Principal | None:
    """Return the caller; asks the authenticator once for each request."""
    if not hasattr(request.state, "principal"):
        authenticator: Authenticator = request.app.state.authenticator
        request.state.principal = await authenticator.authenticate(request)
    principal: Principal | None = request.state.principal
    return principal


def permissions_of(dependencies: Collection[Any]) -> tuple[Permission, ...] | None:
    """Return what the dependencies of a route require; None if nothing is required.

    FastAPI's ``route.dependant.dependencies``; tests use it to try every route as every role.
    """
    for dependency in dependencies:
        found: tuple[Permission, ...] | None = getattr(dependency.call, _MARK, None)
        if found is not None:
            return found
    return None
