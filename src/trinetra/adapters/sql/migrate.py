"""Brings a database to the tables of this version, and back to those of an earlier one.

Alembic's steps are in ``migrations/versions``. A new database is created at once from the tables of
``schema.py`` and marked with the last step.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select

from trinetra.adapters.sql.database import Database
from trinetra.adapters.sql.errors import shown_url
from trinetra.adapters.sql.schema import METADATA, REVISION_TABLE
from trinetra.adapters.sql.views import create_views, drop_views
from trinetra.errors import ConfigurationError

if TYPE_CHECKING:  # 0.1 s to import, which opening a database does without
    from alembic.config import Config

HEAD = "0006"
"""The last step, a constant because reading the steps takes longer than opening a database."""
_REVISIONS = Table(REVISION_TABLE, MetaData(), Column("version_num", String(32)))
"""Alembic's own table."""
_FOLDER = Path(__file__).parent / "migrations"
_SETUP_LOCK = 0x7472696E
"""Key of the advisory lock: any number that no other application uses in this database."""


async def prepare(database: Database) -> None:
    """Create or upgrade the tables of a database.

    Takes the write lock only if there is something to do, so that readers need not wait for
    writers. Raises ConfigurationError for a database of a newer TRINETRA, StorageFull or
    StoreUnavailable.
    """
    if await database.run(revision) != HEAD:
        await database.run(upgrade, writes=True)


def upgrade(connection: Connection) -> None:
    """Create or upgrade the tables. Raises ConfigurationError for one of a newer TRINETRA."""
    if connection.dialect.name == "postgresql":
        # Services may start together, and creating the same table twice at once fails.
        connection.execute(select(func.pg_advisory_xact_lock(_SETUP_LOCK)))
    at = revision(connection)
    if at == HEAD:
        return
    if at is None and not inspect(connection).get_table_names():
        METADATA.create_all(connection)
        create_views(connection)
        _stamp(connection)
        return
    _refuse_unknown(connection, at)
    migrate(connection, HEAD)


def revision(connection: Connection) -> str | None:
    """Return the last step that was taken; None before the first."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    return connection.scalar(select(_REVISIONS.c.version_num))


def migrate(connection: Connection, target: str) -> None:
    """Take the steps to a revision, up or down; ``base`` removes all tables.

    Only a database at the last step has views: those of a table would keep it from being changed.
    """
    from alembic import command  # noqa: PLC0415

    grants = drop_views(connection)
    config = _config(connection)
    at = revision(connection) or ""
    if target != "base" and target >= at:
        command.upgrade(config, target)
    else:
        command.downgrade(config, target)
    if target == HEAD:
        create_views(connection, grants)


def _stamp(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415

    command.stamp(_config(connection), HEAD)


def _refuse_unknown(connection: Connection, at: str | None) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    steps = {step.revision for step in ScriptDirectory(str(_FOLDER)).walk_revisions()}
    if at is not None and at not in steps:
        place = shown_url(connection.engine.url)
        raise ConfigurationError(
            f"{place} has schema version {at}, but this TRINETRA supports versions up to {HEAD}; "
            "use the newer TRINETRA or another database"
        )


def _config(connection: Connection) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
