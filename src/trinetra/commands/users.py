"""``trinetra users`` and ``trinetra tokens``: who may use the web, from the command line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Table

from trinetra.adapters.clock import SystemClock
from trinetra.adapters.disk.audit import Action, AuditLog
from trinetra.commands.console import note, output, say
from trinetra.errors import ConfigurationError
from trinetra.settings import Settings, load_settings
from trinetra.telemetry import configure_logging
from trinetra.web.access import Role
from trinetra.web.security.accounts import LOGIN_LINK_VALID
from trinetra.web.security.security import Security
from trinetra.web.v1.tokens import scopes_of
from trinetra.wiring.web_access import address_of, open_security

users = typer.Typer(no_args_is_help=True, help="Users of the web: add, change, list.")
tokens = typer.Typer(no_args_is_help=True, help="API tokens: create, list, revoke.")
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
_Role = Annotated[Role, typer.Option("--role", help="What the user may do.")]
_Site = Annotated[
    list[str] | None,
    typer.Option("--site", help="Site that the user may see; repeatable; * is all."),
]
_Port = Annotated[
    int | None, typer.Option("--port", help="Port of the web; default: that of `trinetra run`.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(users, name="users")
    app.add_typer(tokens, name="tokens")


@users.command("add")
def add(name: _Name, *, role: _Role = Role.VIEWER, site: _Site = None) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    password = _read_password()

    async def work(access: Security) -> None:
        user = await access.accounts.add(name, role, password, site or ("*",))
        say(f"added {user.name}: {role.value}, sites {', '.join(user.sites)}")

    _run(work, "add_user", name, role.value)


@users.command("list")
def list_users() -> None:
    """List all users."""

    async def work(access: Security) -> None:
        table = Table("name", "role", "sites", "logs in by", "state", box=None)
        for user in await access.accounts.users():
            way = "single sign-on" if user.subject else "password" if user.password_hash else "link"
            state = "disabled" if user.is_disabled else "enabled"
            table.add_row(user.name, user.role, ", ".join(user.sites), way, state)
        output().print(table)

    _run(work)


@users.command("set-password")
def set_password(name: _Name) -> None:
    """Set a user's password, and end the user's sessions."""
    password = _read_password()

    async def work(access: Security) -> None:
        await access.accounts.set_password(await access.accounts.named(name), password)
        say(f"the password of {name} is set; sessions are over")

    _run(work, "set_password", name)


@users.command("disable")
def disable(
    name: _Name, *, undo: Annotated[bool, typer.Option("--undo", help="Enable again.")] = False
) -> None:
    """Disable a user: no login, no token works, sessions are over."""

    async def work(access: Security) -> None:
        await access.accounts.change(await access.accounts.named(name), is_disabled=not undo)
        say(f"{name} is {'enabled' if undo else 'disabled'}")

    _run(work, "change_user", name, "enabled" if undo else "disabled")


@users.command("role")
def change_role(
    name: _Name, role: Annotated[Role, typer.Argument(metavar="ROLE", help="The new role.")]
) -> None:
    """Give a user another role; sessions are over."""

    async def work(access: Security) -> None:
        await access.accounts.change(await access.accounts.named(name), role=role.value)
        say(f"{name} is {role.value}")

    _run(work, "change_user", name, role.value)


@users.command("sites")
def change_sites(
    name: _Name,
    sites: Annotated[list[str], typer.Argument(metavar="SITE...", help="Site ids, or * for all.")],
) -> None:
    """Change the sites that a user may see; sessions are over."""

    async def work(access: Security) -> None:
        user = await access.accounts.named(name)
        await access.accounts.change(user, sites=tuple(sites))
        say(f"{name} may see {', '.join(sites)}")

    _run(work, "change_user", name, f"sites {' '.join(sites)}")


@users.command("link")
def link(name: _Name, *, port: _Port = None) -> None:
    """Print a link that logs a user in once, within 15 minutes."""
    settings = load_settings()

    async def work(access: Security) -> None:
        secret = await access.accounts.login_link(await access.accounts.named(name))
        say(f"{address_of(settings, port or settings.embedded_port)}/login/link?key={secret}")
        note(f"valid once, within {LOGIN_LINK_VALID.seconds // 60} minutes")

    _run(work, "create_login_link", name)


@tokens.command("create")
def create_token(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name of the user.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for.")],
    *,
    scope: Annotated[
        list[str], typer.Option("--scope", help="Permission, like figures:read; repeatable.")
    ],
    days: Annotated[int, typer.Option("--days", help="Days until it expires.")] = 90,
) -> None:
    """Create an API token with permissions of a user, and print it once."""

    async def work(access: Security) -> None:
        owner = await access.accounts.named(user)
        scopes = scopes_of(tuple(scope))
        token, record = await access.tokens.create(owner, name, scopes, days)
        say(token)
        note(f"keep it now, it is not shown again; valid until {record.expires_at:%Y-%m-%d}")

    _run(work, "create_token", user, f"{name}: {' '.join(scope)}")


@tokens.command("list")
def list_tokens() -> None:
    """List all API tokens."""

    async def work(access: Security) -> None:
        names = {user.user_id: user.name for user in await access.accounts.users()}
        table = Table("id", "name", "user", "begins with", "scopes", "valid until", box=None)
        for record in await access.tokens.of(None):
            until = "revoked" if record.revoked_at else f"{record.expires_at:%Y-%m-%d}"
            scopes = ", ".join(record.scopes)
            owner = names[record.user_id]
            table.add_row(record.token_id, record.name, owner, record.prefix, scopes, until)
        output().print(table)

    _run(work)


@tokens.command("revoke")
def revoke_token(
    token_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `trinetra tokens list` has it.")
    ],
) -> None:
    """Revoke an API token at once."""

    async def work(access: Security) -> None:
        await access.tokens.revoke(token_id)
        say(f"{token_id} is revoked")

    _run(work, "revoke_token", token_id)


def _run(
    work: Callable[[Security], Awaitable[None]],
    action: Action | None = None,
    subject: str = "",
    detail: str = "",
) -> None:
    """Work on the accounts of this installation, and record a privileged operation."""
    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    asyncio.run(_with_accounts(settings, work))
    if action is not None:
        log = AuditLog(settings.data_dir / "audit")
        log.append(SystemClock().now(), action, subject.strip().lower(), detail)


async def _with_accounts(settings: Settings, work: Callable[[Security], Awaitable[None]]) -> None:
    async with open_security("*", settings, SystemClock()) as access:
        await work(access)


def _read_password() -> str:
    """Return a password that is typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        typed: str = typer.prompt("password", hide_input=True, confirmation_prompt=True)
        return typed
    given = sys.stdin.readline().rstrip("\n")
    if not given:
        raise ConfigurationError("no password: type it, or send it on standard input")
    return given
