"""What the Grafana dashboard shows: rows of graphs, each with its queries to Prometheus."""  # noqa: INP001 - beside a script

from dataclasses import dataclass

RED_BELOW_1 = ((None, "red"), (1, "green"))
CAMERA = 'camera=~"$camera"'
_HALF, _THIRD = 12, 8

Colours = tuple[tuple[float | None, str], ...]
Queries = dict[str, str]
"""Legends, each with its query."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A panel over time."""

    title: str
    unit: str
    queries: Queries
    description: str
    stacked: bool = False
    width: int = _THIRD


@dataclass(frozen=True, slots=True)
class Number:
    """One figure, now; ``colours`` tells from which value on it has which."""

    title: str
    query: str
    unit: str = "short"
    colours: Colours = ((None, "green"),)


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
        "Services up", 'count(up{job!="prometheus"} == 1)', colours=((None, "red"), (4, "green"))
    ),
    Number(
        "Cameras streaming",
        'count(sum by (camera) (trinetra_camera_state{state="streaming"}) > 0) or vector(0)',
        colours=RED_BELOW_1,
    ),
    Number("Frames inferred", "sum(rate(trinetra_frames_inferred_total[2m]))", unit="ops"),
    Number("Active identities", "sum(trinetra_active_identities)"),
    Number("Gallery answers", "min(trinetra_gallery_up >= 0)", colours=RED_BELOW_1),
    Number(
        "Alerts firing",
        'count(ALERTS{alertstate="firing"}) or vector(0)',
        colours=((None, "green"), (1, "red")),
    ),
)

FRAMES = (
    Graph(
        "Frames into the buffer",
        "ops",
        _rates("trinetra_frames_sampled_total", "camera", labels=CAMERA),
        "Sampled frames a second; the sampler follows motion and the buffer's lag.",
    ),
    Graph(
        "Frames dropped, by reason",
        "ops",
        _rates("trinetra_frames_dropped_total", "camera", "reason", labels=CAMERA),
        "Every lost frame is counted. buffer_full and stale: inference is too slow.",
        stacked=True,
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
        "What cameras send; an idle camera is decoded by key frames only.",
    ),
    Graph(
        "Sampling rate",
        "hertz",
        _gauges("trinetra_sample_rate_hz", "camera", CAMERA),
        "The rate that motion and load allow now.",
    ),
    Graph(
        "Lost connections",
        "ops",
        _rates("trinetra_camera_failures_total", "camera", "failure", labels=CAMERA),
        "Connections to cameras that were lost or refused.",
    ),
)
INFERENCE = (
    Graph(
        "Inference of a batch",
        "s",
        _quantiles("trinetra_inference_seconds", "task"),
        "Time of one network for one micro-batch.",
    ),
    Graph(
        "Age of frames when detected",
        "s",
        _quantiles("trinetra_frame_age_seconds", "camera", CAMERA),
        "From capture to the detection event.",
    ),
    Graph(
        "Frames in a batch",
        "short",
        _means("trinetra_batch_frames", "instance"),
        "The mean; near the maximum a worker is busy, near one it waits for frames.",
    ),
    Graph(
        "Frames inferred, by replica",
        "ops",
        _rates("trinetra_frames_inferred_total", "instance"),
        "How the replicas share the work.",
        stacked=True,
        width=_HALF,
    ),
    Graph(
        "Frames overtaken",
        "ops",
        _rates("trinetra_frames_overtaken_total", "camera", labels=CAMERA),
        "Dropped from the full buffer while a worker held them: nobody finished them.",
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
        "Events on a worker's disk while Kafka is away.",
    ),
    Graph(
        "Oldest record in the spool",
        "s",
        _gauges("trinetra_spool_oldest_seconds", "instance"),
        "How long it has waited for Kafka.",
    ),
    Graph(
        "Spooled and drained",
        "ops",
        {
            "onto disk": "sum(rate(trinetra_spooled_total[$__rate_interval]))",
            "to Kafka": "sum(rate(trinetra_spool_drained_total[$__rate_interval]))",
        },
        "Records a second.",
    ),
    Graph(
        "Late or repeated events",
        "ops",
        _rates("trinetra_events_late_total", "camera", "reason", labels=CAMERA),
        "Too late for their order, or seen before; repeats are normal after a crash.",
    ),
    Graph(
        "Journal",
        "bytes",
        {"on disk": "max(trinetra_journal_bytes)"},
        "The past of an event log that has no Kafka.",
    ),
    Graph(
        "Records into the journal",
        "ops",
        _rates("trinetra_journaled_total", "topic")
        | {
            "not written": "sum(rate(trinetra_journal_lost_total[$__rate_interval]))",
            "segments deleted": "sum(rate(trinetra_journal_deleted_total[$__rate_interval]))",
        },
        "What is not written nobody can explain, replay or rebuild from: is the disk full?",
    ),
    Graph(
        "Followers of the log",
        "short",
        _gauges("trinetra_registry_replica_lag", "instance")
        | _increases("trinetra_follower_missed_total", "topic", "missed "),
        "What each resolver has yet to hear of the others, and what a slow reader never saw.",
    ),
    Graph(
        "Dead letters and unreadable state",
        "short",
        _increases("trinetra_events_rejected_total", "topic")
        | _increases("trinetra_state_rejected_total", "topic", "state ")
        | _increases("trinetra_spool_corrupt_total", "instance", "spool "),
        "Records that could not be used; should be none.",
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
        "impossible: a strong match that nobody could have walked; surprising: unusually quick "
        "or slow.",
        stacked=True,
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
        "Time of one operation, with what waiting there was.",
    ),
    Graph(
        "Identities with one face",
        "short",
        _increases("trinetra_consolidations_total", "outcome"),
        "What came of two that look alike: merged, proposed to a person, or why neither.",
    ),
    Graph(
        "Drift of faces, by camera",
        "short",
        {
            _legend("camera", "quantity"): (
                f"max by (camera, quantity) (trinetra_drift_psi{{{CAMERA}}})"
            )
        },
        "How far scores, quality and raw length have left their reference: 0.1 look, 0.25 act.",
    ),
    Graph(
        "Share of unknown people",
        "percentunit",
        {
            "this hour": "trinetra:unknown_share:rate1h",
            "the same hour a week ago": "trinetra:unknown_share:rate1h offset 1w",
        },
        "A lasting difference is drift: a camera, its light or the model changed.",
    ),
    Graph(
        "Faces not used",
        "ops",
        _rates("trinetra_faces_ignored_total", "camera", "reason", labels=CAMERA),
        "Embeddings of another model or dimension than the gallery's.",
    ),
)
SHOP = (
    Graph(
        "Insights, by kind",
        "ops",
        _rates("trinetra_insights_total", "kind"),
        "What the insight engine recorded.",
        stacked=True,
        width=_HALF,
    ),
    Graph(
        "Alerts raised, by rule",
        "short",
        _increases("trinetra_alerts_total", "rule"),
        "Alerts about the shop, in trinetra.alerts; those about the platform are above.",
        stacked=True,
        width=_HALF,
    ),
)
ROWS = {
    "Cameras and frames": FRAMES,
    "Inference": INFERENCE,
    "Event log": EVENTS,
    "Identities": IDENTITIES,
    "Insights and alerts of the shop": SHOP,
}
