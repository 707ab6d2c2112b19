"""Topics of a site, with the retention of its site file."""

from dataclasses import replace

from trinetra.events.topics import (
    ALERTS,
    ALL,
    CUSTOMERS,
    DEAD_LETTERS,
    DETECTIONS,
    IDENTITIES,
    INSIGHTS,
    SIGHTINGS,
    TRANSACTIONS,
    Topic,
)
from trinetra.site.schema import Site

_DAY_S = 86_400.0


def logged(site: Site) -> dict[Topic, float]:
    """Return the retention in seconds of each topic that is kept."""
    retention = site.policies.retention
    derived = (IDENTITIES, CUSTOMERS, SIGHTINGS, ALERTS, INSIGHTS, TRANSACTIONS)
    return {
        DETECTIONS: retention.detections_days * _DAY_S,
        DEAD_LETTERS: retention.detections_days * _DAY_S,  # may be detections, too
        **dict.fromkeys(derived, retention.events_days * _DAY_S),
    }


def site_topics(site: Site) -> tuple[Topic, ...]:
    """Return the topics with the retention of the site file."""
    kept_s = logged(site)
    return tuple(replace(t, retention_s=kept_s.get(t, t.retention_s)) for t in ALL)
