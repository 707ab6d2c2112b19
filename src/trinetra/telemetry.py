"""Metrics and structured logs; every loss and overload has a metric with a camera label.

Logs go to standard error, one event per line. Keys that could contain a secret are masked, and so
are user and password in any URL.
"""

import logging
import math
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, MutableMapping
from functools import partial
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from trinetra.ports import Sample
from trinetra.redaction import mask_urls

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
    "Frames lost, by reason: buffer_full, buffer_unavailable, late, stale, undecodable, "
    "too_small, too_large, unknown_camera.",
    ["camera", "reason"],
    registry=REGISTRY,
)
CLOCK_STEPS = Counter(
    "trinetra_clock_steps",
    "Steps of the ingestor's wall clock seen by a live camera, by direction: back, forward.",
    ["camera", "direction"],
    registry=REGISTRY,
)
FRAMES_LEFT_TO_OTHER = Counter(
    "trinetra_frames_left_to_other",
    "Frames that a standby ingestor did not send because another one reads the camera: no loss.",
    ["camera"],
    registry=REGISTRY,
)
FRAMES_OVERTAKEN = Counter(
    "trinetra_frames_overtaken",
    "Frames dropped as buffer_full while a consumer held them, hence never finished.",
    ["camera"],
    registry=REGISTRY,
)
CAMERA_STATE = Gauge(
    "trinetra_camera_state",
    "1 for the current camera state: connecting, streaming, stalled, backoff, disabled, ended.",
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
    "trinetra_sample_rate_hz",
    "Current sampling rate in frames per second.",
    ["camera"],
    registry=REGISTRY,
)
FRAMES_WAITING = Gauge(
    "trinetra_frames_waiting",
    "Frames in the buffer, waiting or unacknowledged, as last read by the ingestor.",
    ["camera"],
    registry=REGISTRY,
)
FRAMES_INFERRED = Counter(
    "trinetra_frames_inferred", "Frames that became events.", ["camera"], registry=REGISTRY
)
INFERENCE_S = Histogram(
    "trinetra_inference_seconds",
    "Inference time of one batch.",
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
    "Time from the frame buffer to the detection event.",
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
    "Faces that were not compared, by reason: other_model, wrong_dimension.",
    ["camera", "reason"],
    registry=REGISTRY,
)
PLATES_IGNORED = Counter(
    "trinetra_plates_ignored",
    "License plates that were sealed with another key, or that the resolver has no key for.",
    ["camera"],
    registry=REGISTRY,
)
CONSOLIDATIONS = Counter(
    "trinetra_consolidations",
    "Pairs of identities with nearly the same face, by outcome: merged, proposed, or why not.",
    ["outcome"],
    registry=REGISTRY,
)
STATE_REJECTED = Counter(
    "trinetra_state_rejected",
    "Saved states that could not be read and were lost, by topic.",
    ["topic"],
    registry=REGISTRY,
)
EVENTS_LATE = Counter(
    "trinetra_events_late",
    "Events that arrived too late for reordering, or twice.",
    ["camera", "reason"],
    registry=REGISTRY,
)
IDENTITIES = Counter(
    "trinetra_identities", "Identity decisions, by status.", ["camera", "status"], registry=REGISTRY
)
GATE_VERDICTS = Counter(
    "trinetra_gate_verdicts", "Spatiotemporal verdicts.", ["camera", "verdict"], registry=REGISTRY
)
BODY_LINKS = Counter(
    "trinetra_body_links",
    "Tracks without a usable face that were linked to a customer by their body, and links that "
    "ended because of a later picture.",
    ["camera", "change"],
    registry=REGISTRY,
)
DRIFT_PSI = Gauge(
    "trinetra_drift_psi",
    "Drift of a camera from its reference, by quantity: score, quality, norm; population "
    "stability index, 0 for no drift.",
    ["camera", "quantity"],
    registry=REGISTRY,
)
GATE_TRANSITION_OUTLIERS = Counter(
    "trinetra_gate_transition_outliers",
    "Strong matches after a walk much faster or slower than usual.",
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

CUSTOMER_LOG_UP = Gauge(
    "trinetra_customer_log_up",
    "1 while the customer log answers.",
    ["service"],
    registry=REGISTRY,
)
KNOWN_FOR_S = 60.0
"""A server that answered longer ago than this is not claimed to be up."""


class Availability:
    """Whether a server answers, on a gauge: 1, 0, or NaN if that is not known.

    It is not known before the first try, once nothing asks the server any more, and when its last
    answer is older than ``KNOWN_FOR_S``. A failure stands until the server answers.
    """

    def __init__(self, gauge: Gauge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gauge = gauge
        self._monotonic = monotonic
        self._noted: dict[tuple[str, ...], tuple[bool, float]] = {}
        if not gauge._labelnames:  # noqa: SLF001 - a gauge with labels has no value by itself
            gauge.set_function(partial(self.value))

    def note(self, up: bool, *labels: str) -> None:  # noqa: FBT001 - it is the value
        """Record whether the server has answered just now."""
        if labels and labels not in self._noted:
            self._gauge.labels(*labels).set_function(partial(self.value, *labels))
        self._noted[labels] = up, self._monotonic()

    def forget(self, *labels: str) -> None:
        """Record that nothing asks the server any more."""
        self._noted[labels] = True, -math.inf

    def value(self, *labels: str) -> float:
        """Return the value of the gauge."""
        up, at_s = self._noted.get(labels, (True, -math.inf))
        if not up:
            return 0.0
        return 1.0 if self._monotonic() - at_s <= KNOWN_FOR_S else math.nan


GALLERY_AVAILABILITY = Availability(GALLERY_UP)
CUSTOMER_LOG_AVAILABILITY = Availability(CUSTOMER_LOG_UP)
ACTIVE_IDENTITIES = Gauge(
    "trinetra_active_identities", "Identities in the active registry.", registry=REGISTRY
)
ALWAYS_PRESENT = Gauge(
    "trinetra_always_present_identities",
    "Identities in view for 12 hours without an absence: posters or screens, probably.",
    registry=REGISTRY,
)
RECEIPTS = Counter(
    "trinetra_receipts",
    "Receipts received, by standing: new, duplicate, outdated, conflict, rejected.",
    ["standing"],
    registry=REGISTRY,
)
INSIGHTS = Counter("trinetra_insights", "Insights recorded, by kind.", ["kind"], registry=REGISTRY)
CONSUMER_LAG = Gauge(
    "trinetra_consumer_lag", "Records not yet committed.", ["service"], registry=REGISTRY
)
FOLLOWER_MISSED = Counter(
    "trinetra_follower_missed",
    "Records freed before a reader of the in-memory log had read them, by topic.",
    ["topic"],
    registry=REGISTRY,
)
JOURNAL_BYTES = Gauge(
    "trinetra_journal_bytes", "Disk usage of the log's journal in bytes.", registry=REGISTRY
)
JOURNALED = Counter(
    "trinetra_journaled", "Records written to the journal, by topic.", ["topic"], registry=REGISTRY
)
JOURNAL_LOST = Counter(
    "trinetra_journal_lost",
    "Records that the journal could not write, by topic; the services received them.",
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
    "Records of other resolvers not yet applied to the registry of active identities.",
    registry=REGISTRY,
)
REGISTRY_REPLICA_LAG.set(math.nan)  # unknown until it was read; 0 would say that it is current
ERASURES_WAITING = Gauge(
    "trinetra_erasures_waiting",
    "Erasure requests that this process has not yet completed.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_MAX_BYTES = Gauge(
    "trinetra_spool_max_bytes", "Capacity of the spool in bytes.", ["service"], registry=REGISTRY
)
SERVICE_READY = Gauge(
    "trinetra_service_ready",
    "1 while the service is working, 0 while it waits for a server or a camera.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_RECORDS = Gauge(
    "trinetra_spool_records",
    "Records in the spool for the event log.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_BYTES = Gauge(
    "trinetra_spool_bytes", "Disk usage of the spool in bytes.", ["service"], registry=REGISTRY
)
SPOOL_OLDEST_S = Gauge(
    "trinetra_spool_oldest_seconds",
    "Age of the oldest record in the spool in seconds.",
    ["service"],
    registry=REGISTRY,
)
SPOOLED = Counter(
    "trinetra_spooled",
    "Records spooled to disk instead of sent to the log.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_DRAINED = Counter(
    "trinetra_spool_drained",
    "Records sent from the spool to the log.",
    ["service"],
    registry=REGISTRY,
)
SPOOL_CORRUPT = Counter(
    "trinetra_spool_corrupt",
    "Corrupt records in the spool.",
    ["service"],
    registry=REGISTRY,
)
ALERTS_RAISED = Counter(
    "trinetra_notices",
    "Notices that the alert service raised, by rule.",
    ["rule"],
    registry=REGISTRY,
)
ALERT_DELIVERIES = Counter(
    "trinetra_alert_deliveries",
    "Messages about alerts, by channel and outcome: sent, failed, dead, skipped.",
    ["channel", "outcome"],
    registry=REGISTRY,
)
ALERT_DELIVERY_S = Histogram(
    "trinetra_alert_delivery_seconds",
    "Time from the creation of a message that was not held back until its channel took it.",
    ["channel"],
    buckets=(*_LATENCY_S, 10.0, 30.0, 120.0, 600.0),
    registry=REGISTRY,
)
ALERT_CHANNEL_UP = Gauge(
    "trinetra_alert_channel_up",
    "1 if the last message on a channel of alerts was taken, 0 if it failed.",
    ["channel"],
    registry=REGISTRY,
)
CAMERA_PICTURE = Gauge(
    "trinetra_camera_picture",
    "1 while a camera's picture has a problem: frozen, covered, moved.",
    ["camera", "problem"],
    registry=REGISTRY,
)

_SECRET_KEY = re.compile(r"pass(word|wd)?$|secret|token|credential|api_?key", re.IGNORECASE)


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
    """Send structured logs to standard error, as JSON lines or formatted for people.

    Library logs have the same format, from level WARNING up.
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


def log_as_library() -> None:
    """Log only errors, to standard error, unless the application has configured structlog itself.

    Leaves the standard library's logging alone.
    """
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
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


BoundLogger = structlog.typing.FilteringBoundLogger


def get_logger(service: str) -> BoundLogger:
    """Return a logger whose entries contain the name of the service."""
    logger: BoundLogger = structlog.get_logger(service=service)
    return logger


def exposition() -> bytes:
    """Return all metrics in the Prometheus text format."""
    return generate_latest(REGISTRY)


def own_samples(names: Collection[str]) -> list[Sample]:
    """Return the values of some metrics of this process."""
    return _wanted(REGISTRY.restricted_registry(list(names)).collect(), names)


def samples_of(payload: bytes, names: Collection[str]) -> list[Sample]:
    """Return the values of some metrics in a text of ``exposition``. Raises ValueError."""
    wanted = tuple(names)  # parsing the rest would take a hundred times longer
    lines = [line for line in payload.decode().splitlines() if line.startswith(wanted)]
    return _wanted(text_string_to_metric_families("\n".join([*lines, ""])), names)


def _wanted(families: Iterable[Metric], names: Collection[str]) -> list[Sample]:
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name in names
    ]


def quantile_bound(samples: Iterable[Sample], histogram: str, share: float) -> float | None:
    """Return the bucket's upper bound below which this share of all observations lies.

    Over all labels; infinity if it is in no finite bucket, None without observations.
    """
    counts: dict[float, float] = {}
    for sample in samples:
        if sample.name == f"{histogram}_bucket":
            bound = float(sample.labels["le"])
            counts[bound] = counts.get(bound, 0.0) + sample.value
    wanted = share * counts.get(math.inf, 0.0)
    return min((bound for bound, n in counts.items() if n >= wanted > 0), default=None)
