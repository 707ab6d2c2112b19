"""Records operations on personal data, by command or over the API: see ``trinetra audit``."""

from collections.abc import Mapping
from datetime import UTC, datetime

from trinetra.adapters.disk.audit import Action, AuditLog
from trinetra.events.customers import ChangeKind, CustomerChange, erasure_digest
from trinetra.settings import Settings
from trinetra.values import CustomerId

_ACTIONS: Mapping[ChangeKind, Action] = {
    "enrolled": "enrol",
    "renamed": "rename",
    "merged": "merge",
    "split": "split",
    "merge_dismissed": "dismiss",
}


def audit_log(settings: Settings) -> AuditLog:
    """Return the audit log of this data folder."""
    return AuditLog(settings.data_dir / "audit")


def record_change(settings: Settings, change: CustomerChange, by: str | None = None) -> None:
    """Record a change of the customer log, without names and ids; ``by`` is a user of the API."""
    kind = change.kind.value if change.kind else ""
    other = erasure_digest(change.other) if change.other else ""
    action = _ACTIONS[change.change]
    record_deed(settings, action, change.customer_id, f"{kind} {other}".strip(), by)


def record_deed(
    settings: Settings,
    action: Action,
    customer_id: CustomerId | None,
    detail: str = "",
    by: str | None = None,
) -> None:
    """Record an operation on the data of one person, or of all people.

    ``by`` is the caller of the API; without one it is the system user.
    """
    subject = erasure_digest(customer_id) if customer_id else "everybody"
    audit_log(settings).append(datetime.now(UTC), action, subject, detail, by=by)
