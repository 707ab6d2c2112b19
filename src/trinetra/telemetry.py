"""Metrics and structured logs; every loss and every overload is a number with a camera label.

Logs go to standard error, one event a line. Keys that could carry a secret are masked, and so are
the user and password in any URL.
"""

import logging
import math
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)
_LATENCY_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

FRAMES_READ = Counter(
    "trinetra_frames_read", "Frames decoded from a camera.", ["camera"], registry=REGISTRY
)
FRAMES_SAMPLED = Counter(
    "trinetra_frames_sampled", "Frames put into the buffer.", ["camera"], registry=REGISTRY
)
FRAMES_DROPPED = Counter(
    "trinetra_frames_dropped",
    "Frames lost, by reason: buffer_full, buffer_unavailable, taken, late, stale, undecodable, "
    "too_small, too_large, unknown_camera.",
    ["camera", "reason"],
    registry=REGISTRY,
)
FRAMES_OVERTAKEN = Counter(
    "trinetra_frames_overtaken",
    "Frames dropped as buffer_full while a consumer held them, so that nobody finished them.",
    ["camera"],
    registry=REGISTRY,
)
CAMERA_STATE = Gauge(
    "trinetra_camera_state",
    "1 for the state a camera is in: connecting, streaming, stalled, backoff, disabled, ended.",
    ["camera", "state"],
    registry=REGISTRY,
)
CAMERA_FAILURES = Counter(
    "trinetra_camera_failures",
    "Connections lost or refused, by kind of failure.",
    ["camera", "failure"],
    registry=REGISTRY,
)
SAMPLE_RATE = Gauge(
    "trinetra_sample_rate_hz", "Frames per second sampled now.", ["camera"], registry=REGISTRY
)
FRAMES_WAITING = Gauge(
    "trinetra_frames_waiting",
    "Frames in the buffer that wait or are held unacknowledged, as the ingestor last saw it.",
    ["camera"],
    registry=REGISTRY,
)
FRAMES_INFERRED = Counter(
    "trinetra_frames_inferred", "Frames that became events.", ["camera"], registry=REGISTRY
)
INFERENCE_S = Histogram(
    "trinetra_inference_seconds",
    "Time a model took for one batch.",
    ["task"],
    buckets=_LATENCY_S,
    registry=REGISTRY,
)
BATCH_FRAMES = Histogram(
    "trinetra_batch_frames",
    "Frames in one micro-batch.",
    buckets=(1, 2, 3, 4, 6, 8, 16),
    registry=REGISTRY,
)
FRAME_AGE_S = Histogram(
    "trinetra_frame_age_seconds",
    "Time from capture to the detection event.",
    ["camera"],
    buckets=(*_LATENCY_S, 10.0, 30.0),
    registry=REGISTRY,
)
EVENTS_REJECTED = Counter(
    "trinetra_events_rejected",
    "Records sent to the dead-letter topic.",
    ["topic"],
    registry=REGISTRY,
)
FACES_IGNORED = Counter(
    "trinetra_faces_ignored",
    "Faces that were not recognised, by reason: other_model, wrong_dimension.",
    ["camera", "reason"],
    registry=REGISTRY,
)
CONSOLIDATIONS = Counter(
    "trinetra_consolidations",
    "Identities with nearly the same face, by what came of it: merged, proposed, or why not.",
    ["outcome"],
    registry=REGISTRY,
)
STATE_REJECTED = Counter(
    "trinetra_state_rejected",
    "Remembered state that could not be read, and so was lost, by topic.",
    ["topic"],
    registry=REGISTRY,
)
EVENTS_LATE = Counter(
    "trinetra_events_late",
    "Events that came too late for their order, or twice.",
    ["camera", "reason"],
    registry=REGISTRY,
)
IDENTITIES = Counter(
    "trinetra_identities", "Identity decisions, by status.", ["camera", "status"], registry=REGISTRY
)
GATE_VERDICTS = Counter(
    "trinetra_gate_verdicts", "Spatiotemporal verdicts.", ["camera", "verdict"], registry=REGISTRY
)
DRIFT_PSI = Gauge(
    "trinetra_drift_psi",
    "How far what a camera shows has left its reference, by quantity: score, quality, norm; a "
    "population stability index, 0 for not at all.",
    ["camera", "quantity"],
    registry=REGISTRY,
)
GATE_TRANSITION_OUTLIERS = Counter(
    "trinetra_gate_transition_outliers",
    "Strong matches after a walk far quicker or slower than usual.",
    ["camera"],
    registry=REGISTRY,
)
IDENTITY_AGE_S = Histogram(
    "trinetra_identity_age_seconds",
    "Time from capture to the commit of the identity event.",
    ["camera"],
    buckets=(*_LATENCY_S, 10.0, 30.0, 120.0),
    registry=REGISTRY,
)
ALERTS = Counter("trinetra_alerts", "Alerts raised, by rule.", ["rule"], registry=REGISTRY)
GALLERY_S = Histogram(
    "trinetra_gallery_seconds",
    "Time of one gallery operation.",
    ["operation"],
    buckets=_LATENCY_S,
    registry=REGISTRY,
)
GALLERY_UP = Gauge("trinetra_gallery_up", "1 while the gallery answers.", registry=REGISTRY)
GALLERY_UP.set(math.nan)  # not known: a service that never asks one must not report it as down
CUSTOMER_LOG_UP = Gauge(
    "trinetra_customer_log_up",
    "1 while the customer book answers.",
    ["service"],
    registry=REGISTRY,
)
ACTIVE_IDENTITIES = Gauge(
    "trinetra_active_identities", "Identities in the active registry.", registry=REGISTRY
)
INSIGHTS = Counter("trinetra_insights", "Insights recorded, by kind.", ["kind"], registry=REGISTRY)
CONSUMER_LAG = Gauge(
    "trinetra_consumer_lag", "Records not yet committed.", ["service"], registry=REGISTRY
)
FOLLOWER_MISSED = Counter(
    "trinetra_follower_missed",
    "Records that were freed before a reader of the log in memory had read them, by topic.",
    ["topic"],
    registry=REGISTRY,
)
JOURNAL_BYTES = Gauge(
    "trinetra_journal_bytes", "Disk that the journal of the log takes.", registry=REGISTRY
)
JOURNALED = Counter(
    "trinetra_journaled", "Records written to the journal, by topic.", ["topic"], registry=REGISTRY
)
JOURNAL_LOST = Counter(
    "trinetra_journal_lost",
    "Records that the journal could not write, by topic; the services were given them.",
    ["topic"],
    registry=REGISTRY,
)
JOURNAL_DELETED = Counter(
    "trinetra_journal_deleted",
    "Segments of the journal that were deleted, by reason: age, size.",
    ["reason"],
    registry=REGISTRY,
)
REGISTRY_REPLICA_LAG = Gauge(
    "trinetra_registry_replica_lag",
    "Records of other resolvers that the registry of active identities has yet to take in.",
    registry=REGISTRY,
)
ERASURES_WAITING = Gauge(
    "trinetra_erasures_waiting",
    "People to be forgotten of whom this process still holds something.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_MAX_BYTES = Gauge(
    "trinetra_spool_max_bytes", "How much the spool may hold.", ["service"], registry=REGISTRY
)
SERVICE_READY = Gauge(
    "trinetra_service_ready",
    "1 while the service does its work, 0 while it waits for a server or a camera.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_RECORDS = Gauge(
    "trinetra_spool_records", "Records on disk for the event log.", ["service"], registry=REGISTRY
)
SPOOL_BYTES = Gauge(
    "trinetra_spool_bytes", "Disk that the spool takes.", ["service"], registry=REGISTRY
)
SPOOL_OLDEST_S = Gauge(
    "trinetra_spool_oldest_seconds",
    "How long the oldest record on disk has waited.",
    ["service"],
    registry=REGISTRY,
)
SPOOLED = Counter(
    "trinetra_spooled", "Records put on disk instead of the log.", ["service"], registry=REGISTRY
)
SPOOL_DRAINED = Counter(
    "trinetra_spool_drained",
    "Records sent from disk to the log.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_CORRUPT = Counter(
    "trinetra_spool_corrupt",
    "Places in the spool that should be records and are none.",
    ["service"],
    registry=REGISTRY,
)

_SECRET_KEY = re.compile(r"pass(word|wd)?$|secret|token|credential|api_?key", re.IGNORECASE)
_URL_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s]+@", re.IGNORECASE)


def mask_urls(text: str) -> str:
    """Return the text with the user and password of every URL in it replaced by ``***``."""
    return _URL_USERINFO.sub(r"\g<scheme>***@", text)


def mask_secrets(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask secrets in a log entry (a structlog processor)."""
    for key, value in entry.items():
        if _SECRET_KEY.search(key):
            entry[key] = "***"
        elif isinstance(value, str):
            entry[key] = mask_urls(value)
    return entry


def configure_logging(*, as_json: bool, level: str = "INFO") -> None:
    """Send structured logs to standard error, as JSON lines or for a person to read.

    What libraries log looks the same, from warnings up.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    steps: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    _configure_libraries(steps, renderer, level)
    structlog.configure(
        processors=[*steps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _configure_libraries(steps: list[Any], renderer: Any, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *steps],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, _number(level)), force=True)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level]


def get_logger(service: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose entries name their service."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(service=service)
    return logger


def exposition() -> bytes:
    """Return every metric in the Prometheus text format."""
    return generate_latest(REGISTRY)
