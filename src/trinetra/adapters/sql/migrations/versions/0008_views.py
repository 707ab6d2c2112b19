"""Views for BI tools. ``migrate.py`` creates them after the last step, as ``views.py`` has them."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Mark databases that have views."""


def downgrade() -> None:
    """Leave the tables as they are; ``migrate.py`` has dropped the views."""
