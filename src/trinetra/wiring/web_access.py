"""Builds the users, sessions and tokens of the web, as the settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from trinetra.adapters.sql.account_store import SecurityStores
from trinetra.ports import Clock
from trinetra.settings import Settings
from trinetra.web.security.accounts import Accounts, AccountStores
from trinetra.web.security.authenticator import AccountAuthenticator, Secrets
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
    )
