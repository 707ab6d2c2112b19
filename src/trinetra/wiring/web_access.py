"""Builds the users, sessions and tokens of the web, as the settings say."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from trinetra.adapters.disk.audit import Action, AuditLog
from trinetra.adapters.sql.account_store import SecurityStores
from trinetra.client.models import TrailEntry
from trinetra.errors import ConfigurationError
from trinetra.ports import Clock
from trinetra.settings import Settings
from trinetra.web.access import Role
from trinetra.web.security.accounts import Accounts, AccountStores
from trinetra.web.security.authenticator import AccountAuthenticator, Secrets
from trinetra.web.security.oidc import Provider, SingleSignOn, by_group
from trinetra.web.security.passwords import Passwords
from trinetra.web.security.security import Security
from trinetra.web.security.sessions import Lifetimes, Sessions
from trinetra.web.security.tokens import Tokens
from trinetra.wiring.local_secret import local_secret
from trinetra.wiring.stores import open_security_stores


@asynccontextmanager
async def open_security(
    site_id: str, settings: Settings, clock: Clock, *, secret_folder: Path | None = None
) -> AsyncIterator[Security]:
    """Open users, sessions and tokens.

    ``secret_folder`` is where commands on this machine find the secret by which they authenticate;
    by default the data folder. Raises ConfigurationError, StorageFull or StoreUnavailable.
    """
    local = local_secret(secret_folder or settings.data_dir)
    async with open_security_stores(settings) as stores:
        yield security_of(stores, site_id, settings, clock, local)


def security_of(
    stores: SecurityStores, site_id: str, settings: Settings, clock: Clock, local: bytes | None
) -> Security:
    """Return users, sessions and tokens on open stores."""
    lifetimes = Lifetimes(
        timedelta(minutes=settings.web_session_idle_min),
        timedelta(hours=settings.web_session_max_h),
    )
    sessions = Sessions(stores.sessions, clock, lifetimes)
    tokens = Tokens(stores.tokens, clock)
    till = settings.transactions_token
    known = Secrets(local, till.get_secret_value() if till else None)
    of_accounts = AccountStores(stores.accounts, stores.sessions, stores.one_time, stores.failures)
    return Security(
        accounts=Accounts(of_accounts, Passwords(), clock),
        sessions=sessions,
        tokens=tokens,
        authenticator=AccountAuthenticator(sessions, tokens, clock, site_id, known),
        site_id=site_id,
        trail=DiskTrail(AuditLog(settings.data_dir / "audit"), clock),
        single_sign_on=_single_sign_on(stores, settings, clock),
        external_url=settings.web_url.rstrip("/") if settings.web_url else None,
    )


def _single_sign_on(
    stores: SecurityStores, settings: Settings, clock: Clock
) -> SingleSignOn | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    try:
        roles = {group: Role(role) for group, role in by_group(settings.oidc_roles)}
        sites = dict(by_group(settings.oidc_sites))
    except ValueError as cause:
        raise ConfigurationError(
            f"TRINETRA_OIDC_ROLES or TRINETRA_OIDC_SITES: {cause}; write GROUP=ROLE,GROUP=ROLE "
            f"with the roles {', '.join(Role)}, and GROUP=SITE"
        ) from cause
    provider = Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        roles=roles,
        sites=sites,
        groups_claim=settings.oidc_groups_claim,
        scope=settings.oidc_scope,
        label=settings.oidc_label,
    )
    return SingleSignOn(provider, stores.one_time, clock)


def address_of(settings: Settings, port: int) -> str:
    """Return the address of the web for browsers."""
    if settings.web_url:
        return settings.web_url.rstrip("/")
    scheme = "https" if settings.tls_cert_file else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port}"


class DiskTrail:
    """The audit log of this data folder, which the commands on personal data also write.

    One log instead of two: its hashes chain all operations in the order in which they happened.
    """

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def record(self, by: str, action: Action, subject: str, detail: str = "") -> None:
        """Append an operation. Raises StorageFull or ConfigurationError."""
        now = self._clock.now()
        await asyncio.to_thread(self._log.append, now, action, subject, detail, by=by)

    async def read(self, before: int | None, limit: int) -> Sequence[TrailEntry]:
        """Return operations with a lower number than ``before``, the newest first."""
        lines = await asyncio.to_thread(self._log.lines)
        older = [line for line in reversed(lines) if before is None or line.number < before]
        return [
            TrailEntry(
                number=line.number,
                at=line.at,
                by=line.by,
                action=line.action,
                subject=line.subject,
                detail=line.detail,
            )
            for line in older[:limit]
        ]
