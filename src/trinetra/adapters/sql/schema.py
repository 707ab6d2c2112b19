"""Tables of the database: insights, their rollups, the customer log, erasures and alerts.

``migrations/`` has the steps that lead here from the tables of every earlier version; a test holds
both together. All tables of one installation are in one database.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

from trinetra.adapters.sql.database import Utc
from trinetra.events.schema import (
    CameraCoverage,
    FloorPresence,
    Group,
    InsightEvent,
    Journey,
    LineCrossing,
    Occupancy,
    Passage,
    Purchase,
    QueueVisit,
    Receipt,
    SiteOccupancy,
    UnpaidStay,
    VehicleLink,
    VehicleStay,
    VehicleVisit,
    Visit,
    ZoneStay,
)

METADATA = MetaData()
REVISION_TABLE = "trinetra_revision"
"""Holds the last migration. It is no part of METADATA: Alembic creates it."""


def _insight_table(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        METADATA,
        Column("event_id", String(64), primary_key=True),
        Column("site_id", String(128), nullable=False),
        Column("camera_id", String(128), nullable=False),
        Column("captured_at", Utc, nullable=False),
        *columns,
        Column("event", Text, nullable=False),
        Index(f"{name}_by_time", "captured_at", "event_id"),
        Index(f"{name}_by_camera", "camera_id", "captured_at"),
    )


# --- insights ---------------------------------------------------------------------------------

LINE_CROSSINGS = _insight_table(
    "line_crossings",
    Column("line_id", String(128), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
    Column("revision", Integer),
)
ZONE_STAYS = _insight_table(
    "zone_stays",
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
    Column("revision", Integer),
)
OCCUPANCIES = _insight_table(
    "occupancies",
    Column("zone_id", String(128)),
    Column("persons", BigInteger, nullable=False),
    Column("unseen", Boolean),
)
VISITS = _insight_table(
    "visits",
    Column("customer_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("visit_number", BigInteger, nullable=False),
    Column("revision", Integer),
    Column("withdrawn", Boolean),
)
Index("visits_by_customer", VISITS.c.customer_id, VISITS.c.captured_at)
COVERAGES = _insight_table(
    "coverages",
    Column("started_at", Utc, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("ended", String(16)),
)
FLOOR_PRESENCES = _insight_table(
    "floor_presences",
    Column("started_at", Utc, nullable=False),
    Column("grid", String(16), nullable=False),
    Column("unplaced_ms", BigInteger, nullable=False),
)
QUEUE_VISITS = _insight_table(
    "queue_visits",
    Column("queue_id", String(128)),
    Column("till_id", String(128)),
    Column("joined_at", Utc, nullable=False),
    Column("served_at", Utc),
    Column("end", String(16), nullable=False),
    Column("wait_s", Float(53)),
    Column("service_s", Float(53)),
    Column("changes", BigInteger, nullable=False),
    Column("persons", BigInteger, nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("customer_id", String(64), index=True),
)
RECEIPTS = _insight_table(
    "receipts",
    Column("receipt_id", String(64), nullable=False),
    Column("till_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("item_count", BigInteger),
    Column("revision", Integer),
)
Index("receipts_by_till", RECEIPTS.c.till_id, RECEIPTS.c.captured_at)
PURCHASES = _insight_table(
    "purchases",
    Column("receipt_id", String(64), nullable=False),
    Column("till_id", String(64), nullable=False),
    Column("paid_at", Utc, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("offset_s", Float(53), nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("track_id", String(64)),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
)
UNPAID_STAYS = _insight_table(
    "unpaid_stays",
    Column("till_id", String(64), nullable=False),
    Column("zone_id", String(128), nullable=False),
    Column("track_id", String(64), nullable=False),
    Column("dwell_s", Float(53), nullable=False),
    Column("customer_id", String(64), index=True),
    Column("kind", String(16)),
)
PASSAGES = _insight_table(
    "passages",
    Column("door_id", String(260), nullable=False),
    Column("door_kind", String(16), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("label", String(64), nullable=False),
    Column("kind", String(16)),
    Column("age", String(16)),
    Column("customer_id", String(64), index=True),
)
GROUPS = _insight_table(
    "groups",
    Column("door_id", String(260), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("people", Integer, nullable=False),
    Column("children", Integer, nullable=False),
    Column("last_at", Utc, nullable=False),
)
JOURNEYS = _insight_table(
    "journeys",
    Column("visit_id", String(64), nullable=False),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("started_at", Utc, nullable=False),
)
VEHICLE_STAYS = _insight_table(
    "vehicle_stays",
    Column("track_id", String(64), nullable=False),
    Column("label", String(64), nullable=False),
    Column("entered_at", Utc, nullable=False),
    Column("plate_id", String(64), index=True),
)
VEHICLE_VISITS = _insight_table(
    "vehicle_visits",
    Column("left_at", Utc, nullable=False),
    Column("stay_s", Float(53), nullable=False),
    Column("label", String(64), nullable=False),
    Column("plate_id", String(64), index=True),
)
VEHICLE_LINKS = _insight_table(
    "vehicle_links",
    Column("vehicle_visit_id", String(64), nullable=False),
    Column("visit_id", String(64), nullable=False),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("confidence", Float(53), nullable=False),
)
SITE_OCCUPANCIES = _insight_table(
    "site_occupancies",
    Column("until", Utc, nullable=False),
    Column("people", BigInteger, nullable=False),
)
TYPE_OF_KIND: Mapping[str, type[InsightEvent]] = {
    "line_crossing": LineCrossing,
    "zone_stay": ZoneStay,
    "occupancy": Occupancy,
    "visit": Visit,
    "coverage": CameraCoverage,
    "floor_presence": FloorPresence,
    "queue_visit": QueueVisit,
    "receipt": Receipt,
    "purchase": Purchase,
    "unpaid_stay": UnpaidStay,
    "passage": Passage,
    "group": Group,
    "journey": Journey,
    "vehicle_stay": VehicleStay,
    "vehicle_visit": VehicleVisit,
    "vehicle_link": VehicleLink,
    "site_occupancy": SiteOccupancy,
}
TABLE_OF_KIND: Mapping[str, Table] = {
    "line_crossing": LINE_CROSSINGS,
    "zone_stay": ZONE_STAYS,
    "occupancy": OCCUPANCIES,
    "visit": VISITS,
    "coverage": COVERAGES,
    "floor_presence": FLOOR_PRESENCES,
    "queue_visit": QUEUE_VISITS,
    "receipt": RECEIPTS,
    "purchase": PURCHASES,
    "unpaid_stay": UNPAID_STAYS,
    "passage": PASSAGES,
    "group": GROUPS,
    "journey": JOURNEYS,
    "vehicle_stay": VEHICLE_STAYS,
    "vehicle_visit": VEHICLE_VISITS,
    "vehicle_link": VEHICLE_LINKS,
    "site_occupancy": SITE_OCCUPANCIES,
}
KIND_OF_TYPE: Mapping[type[InsightEvent], str] = {
    type_: kind for kind, type_ in TYPE_OF_KIND.items()
}

CONTEXT_ENTRIES = Table(
    "context_entries",
    METADATA,
    Column("entry_id", String(64), primary_key=True),
    Column("starts_at", Utc, nullable=False),
    Column("ends_at", Utc, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("entry", Text, nullable=False),
    Index("context_entries_by_time", "starts_at", "ends_at"),
)
"""Weather, staff hours, promotions, notes and targets, which are imported."""

# --- identities, as the insights know them ----------------------------------------------------

ALIASES = Table(
    "customer_aliases",
    METADATA,
    Column("customer_id", String(64), primary_key=True),
    Column("person_id", String(64), nullable=False, index=True),
    Column("kind", String(16)),
)
"""The person that each merged id belongs to now, and their kind. All other tables keep the id that
was valid when the row was written; to count people, join this table and use
``coalesce(person_id, customer_id)``."""
ALIASES_READ = Table(
    "customer_aliases_read",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

# --- figures ----------------------------------------------------------------------------------

ROLLUPS = Table(
    "rollups",
    METADATA,
    Column("series", String(64), primary_key=True),
    Column("grain", SmallInteger, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("place", String(260), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("bins", Text),
    Column("change", BigInteger, nullable=False),
    Index("rollups_by_change", "grain", "change"),
    sqlite_with_rowid=False,
)
"""``start_s`` is the start of the bucket in seconds since 1970. ``value`` is the sum of all bins,
``bins`` has all but bin 0 as a JSON object, null if there is no other."""
SITE_ROLLUPS = Table(
    "site_rollups",
    METADATA,
    Column("series", String(64), primary_key=True),
    Column("grain", SmallInteger, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    Column("bins", Text),
    sqlite_with_rowid=False,
)
"""The sums of ``rollups`` over all places."""
ROLLUP_STATE = Table(
    "rollup_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("zone", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("kept_since", Utc),
)
"""One row: the shop's time zone, the version of the rules, the number of the last write, and since
when insights are on record: earlier ones were deleted, but are still in the sums."""
SETUPS = Table(
    "setups",
    METADATA,
    Column("at", Utc, primary_key=True),
    Column("what", String(16), primary_key=True),
    Column("name", String(260), primary_key=True),
    Column("state", String(64), nullable=False),
    Column("is_first", Boolean, nullable=False),
)
"""Since when each line, zone, model, threshold and definition is as it is: what figures depend on
besides the shop. ``state`` is a digest."""
CHANGED_MINUTES = Table(
    "changed_minutes",
    METADATA,
    Column("type", String(32), primary_key=True),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False),
    Index("changed_minutes_by_change", "change"),
    sqlite_with_rowid=False,
)
"""The minutes in which insights of a type were written, until every derivation has read them."""
DERIVATIONS = Table(
    "derivations",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("change", BigInteger, nullable=False),
)
"""How far each derivation has read: the number of the last write that it has taken in."""
OUTBOX = Table(
    "outbox",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("key", String(128), nullable=False),
    Column("event", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Derived insights that the event log has not received yet."""

COUNT_AUDITS = Table(
    "count_audits",
    METADATA,
    Column("audit_id", String(64), primary_key=True),
    Column("camera_id", String(128), nullable=False),
    Column("line_id", String(128), nullable=False),
    Column("ends_at", Utc, nullable=False),
    Column("audit", Text, nullable=False),
    Index("count_audits_by_time", "ends_at", "audit_id"),
)
"""Counts by hand of counting lines, which tell how accurate their figures are."""

# --- customer log -----------------------------------------------------------------------------

CUSTOMER_CHANGES = Table(
    "customer_changes",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("change_id", String(64), nullable=False, unique=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("other", String(64), index=True),
    Column("change", Text, nullable=False),
    # Without it SQLite reuses the numbers of deleted changes, and readers would skip the new ones.
    sqlite_autoincrement=True,
)
CUSTOMER_TEMPLATES = Table(
    "customer_templates",
    METADATA,
    Column("model", String(128), primary_key=True),
    Column("entry_id", String(64), primary_key=True),
    Column("customer_id", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("quality", Float(53), nullable=False),
    Column("first_seen", Utc, nullable=False),
    Column("last_seen", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("consent", Boolean, nullable=False),
)
CUSTOMER_READERS = Table(
    "customer_book_readers",
    METADATA,
    Column("reader", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# --- erasures ---------------------------------------------------------------------------------

ERASURES = Table(
    "erasures",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("asked_at", Utc, nullable=False),
    Column("settled_at", Utc),
    Column("ids", Text, nullable=False),
    sqlite_autoincrement=True,
)
ERASURE_DIGESTS = Table(
    "erasure_digests",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False, index=True),
)
ERASURE_SHARES = Table(
    "erasure_shares",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("member", String(200), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("removed", Text, nullable=False),
)
ERASURE_MEMBERS = Table(
    "erasure_members",
    METADATA,
    Column("member", String(200), primary_key=True),
    Column("seen_at", Utc, nullable=False),
)
ERASURE_OWNERS = Table(
    "erasure_owners",
    METADATA,
    Column("owner", String(200), primary_key=True),
    Column("seen_at", Utc, nullable=False),
)
ERASURE_REQUIRED = Table(
    "erasure_required",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("owner", String(200), primary_key=True),
)

# --- alerts -----------------------------------------------------------------------------------

ALERT_NOTICES = Table(
    "alert_notices",
    METADATA,
    Column("alert_id", String(64), primary_key=True),
    Column("rule", String(32), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("state", String(16), nullable=False),
    Column("raised_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("person", String(64), index=True),
    Column("notice", Text, nullable=False),
    Index("alert_notices_by_time", "raised_at", "alert_id"),
    Index("alert_notices_by_subject", "rule", "subject", "raised_at"),
    Index("alert_notices_by_state", "state", "last_at"),
)
ALERT_DELIVERIES = Table(
    "alert_deliveries",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("delivery_id", String(64), nullable=False, unique=True),
    Column("alert_id", String(64), nullable=False, index=True),
    Column("channel", String(64), nullable=False),
    Column("recipient", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Utc, nullable=False, index=True),
    Column("due_at", Utc, nullable=False),
    Column("delivery", Text, nullable=False),
    Index("alert_deliveries_by_channel", "channel", "state", "number"),
    sqlite_autoincrement=True,
)
"""Messages about alerts, in the order in which a channel gets them."""
ALERT_LANES = Table(
    "alert_lanes",
    METADATA,
    Column("channel", String(64), primary_key=True),
    Column("member", String(200), nullable=False),
    Column("until", Utc, nullable=False),
)
"""Which process sends on a channel now: one at a time, so that messages keep their order."""
ALERT_MUTES = Table(
    "alert_mutes",
    METADATA,
    Column("rule", String(32), primary_key=True),
    Column("subject", String(300), primary_key=True),
    Column("mute", Text, nullable=False),
)
"""``subject`` is empty in a mute of the whole rule."""
ALERT_ARMING = Table(
    "alert_arming",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("arming", Text, nullable=False),
)
# --- web access -------------------------------------------------------------------------------

WEB_USERS = Table(
    "web_users",
    METADATA,
    Column("user_id", String(32), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("role", String(32), nullable=False),
    Column("sites", Text, nullable=False),
    Column("password_hash", String(255)),
    Column("subject", String(512), unique=True),
    Column("is_disabled", Boolean, nullable=False),
    Column("created_at", Utc, nullable=False),
)
WEB_SESSIONS = Table(
    "web_sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("user_id", String(32), nullable=False, index=True),
    Column("csrf_token", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
)
WEB_TOKENS = Table(
    "web_tokens",
    METADATA,
    Column("token_id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("name", String(128), nullable=False),
    Column("user_id", String(32), nullable=False, index=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("revoked_at", Utc),
)
WEB_ONE_TIME_SECRETS = Table(
    "web_one_time_secrets",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("payload", Text, nullable=False),
)
WEB_KEYS = Table(
    "web_keys",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("key", LargeBinary, nullable=False),
)
WEB_LOGIN_FAILURES = Table(
    "web_login_failures",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", Utc, nullable=False),
)
"""``key`` is a digest: a password typed into the field of the name is not stored."""
