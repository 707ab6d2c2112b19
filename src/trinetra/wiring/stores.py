"""Opens what is kept in SQL: insights, the customer log, erasures and alerts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trinetra.adapters.disk.private_folder import explained, make_private
from trinetra.adapters.sql.account_store import SecurityStores
from trinetra.adapters.sql.alert_store import SqlAlertStore
from trinetra.adapters.sql.context_store import SqlContextStore
from trinetra.adapters.sql.customer_log import SqlCustomerLog
from trinetra.adapters.sql.database import missing_file
from trinetra.adapters.sql.erasure_store import SqlErasureStore
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.errors import ConfigurationError
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.ports import ContextStore, CustomerLog, ErasureStore, SiteStore
from trinetra.settings import Settings

STORE_HINT = (
    "TRINETRA_STORE_URL=postgresql+psycopg://USER:PASSWORD@HOST/DATABASE "
    "(sqlite:////FOLDER/insights.db if all processes are on this machine)"
)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SiteStore]:
    """Open the insight store. Raises StoreUnavailable, StorageFull or ConfigurationError."""
    async with SqlInsightStore.open(_store_url(settings), ROLLUP_RULES) as store:
        yield store


@asynccontextmanager
async def open_written_store(settings: Settings) -> AsyncIterator[SiteStore]:
    """Open an insight store to read it; raises ConfigurationError where there is none yet."""
    if file := missing_file(_store_url(settings)):
        raise ConfigurationError(
            f"there is no database {file}: `trinetra run` writes it; check the path"
        )
    async with open_store(settings) as store:
        yield store


@asynccontextmanager
async def open_customer_log(settings: Settings) -> AsyncIterator[CustomerLog]:
    """Open the customer log, in the database of the insights; raises as ``open_store`` does."""
    async with SqlCustomerLog.open(_store_url(settings)) as customer_log:
        yield customer_log


@asynccontextmanager
async def open_context_store(settings: Settings) -> AsyncIterator[ContextStore]:
    """Open the context store, in the database of the insights; raises as ``open_store`` does."""
    async with SqlContextStore.open(_store_url(settings)) as context_store:
        yield context_store


@asynccontextmanager
async def open_alert_store(settings: Settings) -> AsyncIterator[SqlAlertStore]:
    """Open the alert store, in the database of the insights; raises as ``open_store`` does."""
    async with SqlAlertStore.open(_store_url(settings)) as alert_store:
        yield alert_store


@asynccontextmanager
async def open_erasure_store(settings: Settings) -> AsyncIterator[ErasureStore]:
    """Open the erasure store, in the database of the insights; raises as ``open_store`` does."""
    async with SqlErasureStore.open(_store_url(settings), ROLLUP_RULES) as erasure_store:
        yield erasure_store


@asynccontextmanager
async def open_security_stores(settings: Settings) -> AsyncIterator[SecurityStores]:
    """Open users, sessions and tokens, in the database of the insights; raises likewise."""
    async with SecurityStores.open(_store_url(settings)) as stores:
        yield stores


def has_shared_store(settings: Settings) -> bool:
    """Return whether the database is one that all processes of this installation share.

    A database in the data folder is private to that folder, which another process may not have.
    """
    return settings.store_url is not None or settings.event_log == "memory"


def _store_url(settings: Settings) -> str:
    if url := settings.store_url:
        return url.get_secret_value()
    if not has_shared_store(settings):
        raise ConfigurationError(
            "with TRINETRA_EVENT_LOG=kafka all processes must share one database of insights, "
            f"customers and erasures: set {STORE_HINT}"
        )
    if "data_dir" not in settings.model_fields_set:  # a folder of the user's choice may be shared
        with explained("data", settings.data_dir):
            make_private(settings.data_dir)  # older versions made it readable by everyone
    return f"sqlite:///{settings.data_dir / 'insights.db'}"
