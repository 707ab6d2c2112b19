"""Databases as earlier versions left them."""

from sqlalchemy import create_engine

from trinetra.adapters.sql.migrate import migrate
from trinetra.adapters.sql.schema import REVISION_TABLE


def lose_migrations(url: str, *statements: str) -> None:
    """Turn a database into one from before there were migrations, and change it further."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrate(connection, "0001")
        connection.exec_driver_sql(f"drop table {REVISION_TABLE}")
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
