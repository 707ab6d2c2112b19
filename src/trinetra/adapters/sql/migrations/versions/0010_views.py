"""Views for BI tools. ``migrate.py`` creates them after the last step, as ``views.py`` has them."""

revision = "0010"
down_revision = "0005"


def upgrade() -> None:
    """Mark databases that have views."""


def downgrade() -> None:
    """Leave the tables as they are; ``migrate.py`` has dropped the views."""
