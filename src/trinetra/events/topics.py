"""Topics of the event log: names, partition counts and retention."""

from dataclasses import dataclass

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Topic:
    """A named, partitioned log; records with the same key keep their order.

    A compacted topic keeps the last record of every key forever; in other topics, records older
    than ``retention_s`` may be deleted.
    """

    name: str
    partitions: int
    compacted: bool = False
    retention_s: float = 7 * _DAY_S


DETECTIONS = Topic("trinetra.detections", 8)
"""Written by inference workers, keyed by camera_id."""
IDENTITIES = Topic("trinetra.identities", 8)
"""Written by identity resolvers, keyed by camera_id."""
CUSTOMERS = Topic("trinetra.customers", 8)
"""Lifecycle of identities; written by identity resolvers, keyed by customer_id."""
ALERTS = Topic("trinetra.alerts", 8)
"""Written by identity resolvers, keyed by camera_id; read by alert services."""
INSIGHTS = Topic("trinetra.insights", 8)
"""Written by the insight engine, keyed by camera_id, visits by customer_id."""
DEAD_LETTERS = Topic("trinetra.dead-letters", 1, retention_s=30 * _DAY_S)
"""Records that could not be read, with the reason; written by every consumer."""
TRANSACTIONS = Topic("trinetra.transactions", 8)
"""Receipts of tills; written by points of sale and by importers, keyed by till_id."""
SIGHTINGS = Topic("trinetra.sightings", 8)
"""Sampled sightings, written by the insight engine for itself, keyed by customer_id.

The cameras that see a customer are in many partitions; this topic gathers each customer in one.
"""

RESOLVER_STATE = Topic("trinetra.resolver-state", DETECTIONS.partitions, compacted=True)
"""State of a resolver about the cameras of the same partition of detections."""
INSIGHT_STATE = Topic("trinetra.insight-state", IDENTITIES.partitions, compacted=True)
"""State of an insight engine about the cameras of the same partition of identities."""
VISIT_STATE = Topic("trinetra.visit-state", SIGHTINGS.partitions, compacted=True)
"""State of an insight engine about the customers of the same partition of sightings."""
ALERT_STATE = Topic("trinetra.alert-state", INSIGHTS.partitions, compacted=True)
"""State of an alert service about the cameras of the same partition of insights."""
ERASURES = Topic("trinetra.erasures", 1, compacted=True)
"""Open erasures, without ids, and the answers of spools; see ``events/spool_erasure.py``."""
SITE = Topic("trinetra.site", 1, compacted=True)
"""Owner of the topics, to detect two shops on one cluster; set by `trinetra topics create`."""

ALL = (
    DETECTIONS,
    IDENTITIES,
    CUSTOMERS,
    ALERTS,
    INSIGHTS,
    TRANSACTIONS,
    DEAD_LETTERS,
    SIGHTINGS,
    RESOLVER_STATE,
    INSIGHT_STATE,
    VISIT_STATE,
    ALERT_STATE,
    ERASURES,
    SITE,
)
FRAMES_PREFIX = "frames:"


def frames_stream(camera_id: str) -> str:
    """Return the name of a camera's frame stream, ``frames:{camera_id}``."""
    return f"{FRAMES_PREFIX}{camera_id}"
