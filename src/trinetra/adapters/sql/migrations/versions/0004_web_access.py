"""Web access: users, sessions, API tokens, one-time secrets, failed logins."""

from alembic import op
from sqlalchemy import Boolean, Column, DateTime, Integer, LargeBinary, String, Text

revision = "0004"
down_revision = "0003"
_UTC = DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_users()
    _create_secrets()


def downgrade() -> None:
    """Remove the tables: every user, session and token."""
    for name in (
        "web_login_failures",
        "web_keys",
        "web_one_time_secrets",
        "web_tokens",
        "web_sessions",
        "web_users",
    ):
        op.drop_table(name)


def _create_users() -> None:
    op.create_table(
        "web_users",
        Column("user_id", String(32), primary_key=True),
        Column("name", String(128), nullable=False, unique=True),
        Column("role", String(32), nullable=False),
        Column("sites", Text, nullable=False),
        Column("password_hash", String(255)),
        Column("subject", String(512), unique=True),
        Column("is_disabled", Boolean, nullable=False),
        Column("created_at", _UTC, nullable=False),
    )
    op.create_table(
        "web_sessions",
        Column("digest", String(64), primary_key=True),
        Column("user_id", String(32), nullable=False, index=True),
        Column("csrf_token", String(64), nullable=False),
        Column("created_at", _UTC, nullable=False),
        Column("seen_at", _UTC, nullable=False),
    )
    op.create_table(
        "web_tokens",
        Column("token_id", String(32), primary_key=True),
        Column("digest", String(64), nullable=False, unique=True),
        Column("prefix", String(16), nullable=False),
        Column("name", String(128), nullable=False),
        Column("user_id", String(32), nullable=False, index=True),
        Column("scopes", Text, nullable=False),
        Column("created_at", _UTC, nullable=False),
        Column("expires_at", _UTC, nullable=False),
        Column("used_at", _UTC),
        Column("revoked_at", _UTC),
    )


def _create_secrets() -> None:
    op.create_table(
        "web_one_time_secrets",
        Column("digest", String(64), primary_key=True),
        Column("purpose", String(16), nullable=False),
        Column("expires_at", _UTC, nullable=False),
        Column("payload", Text, nullable=False),
    )
    op.create_table(
        "web_keys",
        Column("name", String(32), primary_key=True),
        Column("key", LargeBinary, nullable=False),
    )
    op.create_table(
        "web_login_failures",
        Column("key", String(64), primary_key=True),
        Column("failures", Integer, nullable=False),
        Column("last_at", _UTC, nullable=False),
    )
