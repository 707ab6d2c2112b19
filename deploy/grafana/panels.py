"""Panels of the Grafana dashboard, with their Prometheus queries."""  # noqa: INP001 - beside a script

from dataclasses import dataclass

RED_BELOW_1 = ((None, "red"), (1, "green"))
CAMERA = 'camera=~"$camera"'
_HALF, _THIRD = 12, 8

Colors = tuple[tuple[float | None, str], ...]
Queries = dict[str, str]
"""Queries by legend."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A time series panel."""

    title: str
    unit: str
    queries: Queries
    description: str
    stacked: bool = False
    width: int = _THIRD


@dataclass(frozen=True, slots=True)
class Number:
    """A panel with one present value; ``colors`` maps lower bounds to colors."""

    title: str
    query: str
    unit: str = "short"
    colors: Colors = ((None, "green"),)


def _rates(metric: str, *by: str, labels: str = "") -> Queries:
    rates = f"sum by ({', '.join(by)}) (rate({metric}{{{labels}}}[$__rate_interval]))"
    return {_legend(*by): rates}


def _increases(metric: str, by: str, of: str = "") -> Queries:
    return {of + _legend(by): f"sum by ({by}) (increase({metric}[$__rate_interval]))"}


def _gauges(metric: str, by: str, labels: str = "", *, over: str = "max") -> Queries:
    return {_legend(by): f"{over} by ({by}) ({metric}{{{labels}}})"}


def _quantiles(metric: str, by: str, labels: str = "") -> Queries:
    rates = f"sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return {
        f"{_legend(by)} p{percent}": f"histogram_quantile({percent / 100}, {rates})"
        for percent in (50, 99)
    }


def _means(metric: str, by: str) -> Queries:
    sums, counts = (
        f"sum by ({by}) (rate({metric}_{part}[$__rate_interval]))" for part in ("sum", "count")
    )
    return {_legend(by): f"{sums} / {counts}"}


def _legend(*labels: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


OVERVIEW = (
    Number(
        "Services up", 'count(up{job!="prometheus"} == 1)', colors=((None, "red"), (4, "green"))
    ),
    Number(
        "Cameras streaming",
        'count(sum by (camera) (trinetra_camera_state{state="streaming"}) > 0) or vector(0)',
        colors=RED_BELOW_1,
    ),
    Number("Frames inferred", "sum(rate(trinetra_frames_inferred_total[2m]))", unit="ops"),
    Number("Active identities", "sum(trinetra_active_identities)"),
    Number("Gallery available", "min(trinetra_gallery_up >= 0)", colors=RED_BELOW_1),
    Number(
        "Alerts firing",
        'count(ALERTS{alertstate="firing"}) or vector(0)',
        colors=((None, "green"), (1, "red")),
    ),
)

FRAMES = (
    Graph(
        "Frames into the buffer",
        "ops",
        _rates("trinetra_frames_sampled_total", "camera", labels=CAMERA),
        "Sampled frames per second; the sampler adapts to motion and to the buffer's lag.",
    ),
    Graph(
        "Frames dropped, by reason",
        "ops",
        _rates("trinetra_frames_dropped_total", "camera", "reason", labels=CAMERA),
        "Every lost frame is counted. buffer_full and stale: inference is too slow.",
        stacked=True,
    ),
    Graph(
        "Frames left to the other ingestor",
        "ops",
        _rates("trinetra_frames_left_to_other_total", "camera", labels=CAMERA),
        "By a standby ingestor, while another one reads the camera. No loss.",
    ),
    Graph(
        "Frames waiting",
        "short",
        _gauges("trinetra_frames_waiting", "camera", CAMERA),
        "In the buffer: not yet read, or held by a worker. At 100 the oldest are dropped.",
    ),
    Graph(
        "Frames decoded",
        "ops",
        _rates("trinetra_frames_read_total", "camera", labels=CAMERA),
        "Decoded frames per second; fewer while a camera with key_frames_while_idle is still.",
    ),
    Graph(
        "Sampling rate",
        "hertz",
        _gauges("trinetra_sample_rate_hz", "camera", CAMERA),
        "Present sampling rate, given motion and load.",
    ),
    Graph(
        "Connection failures",
        "ops",
        _rates("trinetra_camera_failures_total", "camera", "failure", labels=CAMERA),
        "Connections to cameras that were lost or refused.",
    ),
)
INFERENCE = (
    Graph(
        "Inference time",
        "s",
        _quantiles("trinetra_inference_seconds", "task"),
        "Duration of one network on one micro-batch.",
    ),
    Graph(
        "Age of frames when detected",
        "s",
        _quantiles("trinetra_frame_age_seconds", "camera", CAMERA),
        "From the frame buffer to the detection event.",
    ),
    Graph(
        "Batch size",
        "short",
        _means("trinetra_batch_frames", "instance"),
        "Mean frames per batch: near the maximum a worker is busy, near one it waits for frames.",
    ),
    Graph(
        "Frames inferred, by replica",
        "ops",
        _rates("trinetra_frames_inferred_total", "instance"),
        "Distribution of the work among the replicas.",
        stacked=True,
        width=_HALF,
    ),
    Graph(
        "Frames overtaken",
        "ops",
        _rates("trinetra_frames_overtaken_total", "camera", labels=CAMERA),
        "Dropped from the full buffer while a worker held them, so they were not processed.",
        stacked=True,
        width=_HALF,
    ),
)
EVENTS = (
    Graph(
        "Records not yet committed",
        "short",
        _gauges("trinetra_consumer_lag", "service", over="sum"),
        "The lag of each consumer group; it grows while a service is down or too slow.",
    ),
    Graph(
        "Spool",
        "bytes",
        _gauges("trinetra_spool_bytes", "instance")
        | {"limit of each": "max(trinetra_spool_max_bytes)"},
        "Events on a worker's disk while Kafka is unavailable.",
    ),
    Graph(
        "Oldest record in the spool",
        "s",
        _gauges("trinetra_spool_oldest_seconds", "instance"),
        "Its time in the spool.",
    ),
    Graph(
        "Spooled and drained",
        "ops",
        {
            "onto disk": "sum(rate(trinetra_spooled_total[$__rate_interval]))",
            "to Kafka": "sum(rate(trinetra_spool_drained_total[$__rate_interval]))",
        },
        "Records per second.",
    ),
    Graph(
        "Late or repeated events",
        "ops",
        _rates("trinetra_events_late_total", "camera", "reason", labels=CAMERA),
        "Too late to be reordered, or duplicates; duplicates are normal after a crash.",
    ),
    Graph(
        "Journal",
        "bytes",
        {"on disk": "max(trinetra_journal_bytes)"},
        "Size of the history on disk of an event log in memory.",
    ),
    Graph(
        "Records into the journal",
        "ops",
        _rates("trinetra_journaled_total", "topic")
        | {
            "not written": "sum(rate(trinetra_journal_lost_total[$__rate_interval]))",
            "segments deleted": "sum(rate(trinetra_journal_deleted_total[$__rate_interval]))",
        },
        "Records that are not written are missing in explain and replay: is the disk full?",
    ),
    Graph(
        "Lag of topic readers",
        "short",
        _gauges("trinetra_registry_replica_lag", "instance")
        | _increases("trinetra_follower_missed_total", "topic", "missed "),
        "Records of other resolvers not yet read, and records that a slow reader missed.",
    ),
    Graph(
        "Dead letters and unreadable state",
        "short",
        _increases("trinetra_events_rejected_total", "topic")
        | _increases("trinetra_state_rejected_total", "topic", "state ")
        | _increases("trinetra_spool_corrupt_total", "instance", "spool "),
        "Records that could not be read; should be zero.",
        stacked=True,
    ),
)
IDENTITIES = (
    Graph(
        "Decisions, by status",
        "ops",
        _rates("trinetra_identities_total", "status", labels=CAMERA),
        "known, new, unknown.",
        stacked=True,
    ),
    Graph(
        "Verdicts of the spatiotemporal gate",
        "ops",
        _rates("trinetra_gate_verdicts_total", "verdict", labels=CAMERA)
        | {
            "surprising": f"sum (rate(trinetra_gate_transition_outliers_total{{{CAMERA}}}"
            "[$__rate_interval]))"
        },
        "impossible: a strong match at an impossible walking speed; surprising: unusually fast "
        "or slow.",
        stacked=True,
    ),
    Graph(
        "Links by body",
        "ops",
        _rates("trinetra_body_links_total", "change", labels=CAMERA),
        "linked: a track without a usable face was given the customer of the same visit; ended: a "
        "later picture or sighting contradicted it.",
    ),
    Graph(
        "Age of identities",
        "s",
        _quantiles("trinetra_identity_age_seconds", "camera", CAMERA),
        "From capture to the identity event.",
    ),
    Graph(
        "Gallery",
        "s",
        _quantiles("trinetra_gallery_seconds", "operation"),
        "Duration of an operation, including waiting time.",
    ),
    Graph(
        "Merge candidates, by outcome",
        "short",
        _increases("trinetra_consolidations_total", "outcome"),
        "Outcome of similar identities: merged, proposed, or the reason for neither.",
    ),
    Graph(
        "Drift of faces, by camera",
        "short",
        {
            _legend("camera", "quantity"): (
                f"max by (camera, quantity) (trinetra_drift_psi{{{CAMERA}}})"
            )
        },
        "PSI of scores, quality and raw length against their reference: 0.1 check, 0.25 act.",
    ),
    Graph(
        "Share of unknown people",
        "percentunit",
        {
            "this hour": "trinetra:unknown_share:rate1h",
            "the same hour a week ago": "trinetra:unknown_share:rate1h offset 1w",
        },
        "A lasting difference indicates drift: a camera, its light or the model changed.",
    ),
    Graph(
        "Faces not used",
        "ops",
        _rates("trinetra_faces_ignored_total", "camera", "reason", labels=CAMERA),
        "Embeddings of another model or dimension than the gallery's.",
    ),
    Graph(
        "License plates not used",
        "ops",
        _rates("trinetra_plates_ignored_total", "camera", labels=CAMERA),
        "Sealed with another TRINETRA_PLATE_KEY than the resolver's, or it has none.",
    ),
)
SHOP = (
    Graph(
        "Insights, by kind",
        "ops",
        _rates("trinetra_insights_total", "kind"),
        "Insights recorded by the insight engine.",
        stacked=True,
        width=_HALF,
    ),
    Graph(
        "Alerts raised, by rule",
        "short",
        _increases("trinetra_alerts_total", "rule"),
        "Alerts about the shop, in trinetra.alerts; not the platform alerts above.",
        stacked=True,
        width=_HALF,
    ),
    Graph(
        "Notices, by rule",
        "short",
        _increases("trinetra_notices_total", "rule"),
        "What the alert service listed, also what nobody is told of.",
        stacked=True,
    ),
    Graph(
        "Messages about alerts, by channel and outcome",
        "short",
        _increases("trinetra_alert_deliveries_total", "channel", "outcome"),
        "sent, failed (sent again later), dead (given up), skipped.",
        stacked=True,
    ),
    Graph(
        "Delivery of alerts, by channel",
        "s",
        _quantiles("trinetra_alert_delivery_seconds", "channel"),
        "From the notice until its channel took the message; outages of receivers included.",
    ),
    Graph(
        "Channels of alerts",
        "short",
        {_legend("channel"): "min by (channel) (trinetra_alert_channel_up)"},
        "1: the last message was taken; 0: it failed, and is sent again.",
    ),
    Graph(
        "Pictures with a problem, by camera",
        "short",
        {
            _legend("camera", "problem"): (
                f"max by (camera, problem) (trinetra_camera_picture{{{CAMERA}}})"
            )
        },
        "frozen, covered, or moved: another view than before.",
    ),
    Graph(
        "Receipts, by standing",
        "short",
        _increases("trinetra_receipts_total", "standing"),
        "Receipts from tills: new, duplicate, outdated, conflicting or rejected ones.",
        stacked=True,
    ),
)
ROWS = {
    "Cameras and frames": FRAMES,
    "Inference": INFERENCE,
    "Event log": EVENTS,
    "Identities": IDENTITIES,
    "Insights and alerts of the shop": SHOP,
}
