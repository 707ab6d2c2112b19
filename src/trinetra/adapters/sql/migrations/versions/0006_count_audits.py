"""Counts by hand of counting lines."""

from alembic import op
from sqlalchemy import Column, DateTime, String, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "count_audits",
        Column("audit_id", String(64), primary_key=True),
        Column("camera_id", String(128), nullable=False),
        Column("line_id", String(128), nullable=False),
        Column("ends_at", DateTime(timezone=True), nullable=False),
        Column("audit", Text, nullable=False),
    )
    op.create_index("count_audits_by_time", "count_audits", ["ends_at", "audit_id"])


def downgrade() -> None:
    """Remove the table with all counts by hand."""
    op.drop_table("count_audits")
