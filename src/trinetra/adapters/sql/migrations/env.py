"""Runs the steps on the connection that ``migrate.py`` passes, within its transaction."""

from alembic import context

from trinetra.adapters.sql.schema import REVISION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=REVISION_TABLE, render_as_batch=True)
context.run_migrations()
