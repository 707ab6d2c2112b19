"""Builds the Grafana dashboard from the metrics of ``trinetra.telemetry``.

``make docs`` writes it to ``deploy/grafana/dashboards/trinetra.json``; tests find out when the two
differ, and when a metric is named here that no service has.
"""  # noqa: INP001 - a script, no package

import json
import sys
from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
CAMERA = 'camera=~"$camera"'
_WIDTH, _HALF, _THIRD, _STAT = 24, 12, 8, 4
_HEIGHT, _STAT_HEIGHT = 8, 4


@dataclass(frozen=True, slots=True)
class Graph:
    """A panel over time: what it shows, in which unit, by which queries and their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str
    stacked: bool = False
    width: int = _THIRD


@dataclass(frozen=True, slots=True)
class Number:
    """One figure, now; ``red_below`` or ``red_from`` says when it is bad."""

    title: str
    query: str
    unit: str = "short"
    red_below: float | None = None
    red_from: float | None = None


def _rate(metric: str, by: str, labels: str = CAMERA) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def _increase(metric: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}[$__rate_interval]))"


def _quantiles(metric: str, by: str, labels: str = "") -> tuple[tuple[str, str], ...]:
    rates = f"sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({q}, {rates})", f"{{{{{by}}}}} p{q * 100:.0f}") for q in (0.5, 0.99)
    )


OVERVIEW = (
    Number("Services up", 'count(up{job!="prometheus"} == 1)', red_below=4),
    Number(
        "Cameras streaming",
        'count(sum by (camera) (trinetra_camera_state{state="streaming"}) > 0) or vector(0)',
        red_below=1,
    ),
    Number("Frames inferred", "sum(rate(trinetra_frames_inferred_total[2m]))", unit="ops"),
    Number("Active identities", "sum(trinetra_active_identities)"),
    Number("Gallery answers", "min(trinetra_gallery_up >= 0)", red_below=1),
    Number("Alerts firing", 'count(ALERTS{alertstate="firing"}) or vector(0)', red_from=1),
)

ROWS: tuple[tuple[str, tuple[Graph, ...]], ...] = (
    (
        "Cameras and frames",
        (
            Graph(
                "Frames into the buffer",
                "ops",
                ((_rate("trinetra_frames_sampled_total", "camera"), "{{camera}}"),),
                "Sampled frames a second; the sampler follows motion and the buffer's lag.",
            ),
            Graph(
                "Frames dropped, by reason",
                "ops",
                (
                    (
                        _rate("trinetra_frames_dropped_total", "camera, reason"),
                        "{{camera}} {{reason}}",
                    ),
                    (
                        _rate("trinetra_frames_overtaken_total", "camera"),
                        "{{camera}} while held by a worker",
                    ),
                ),
                "Every lost frame is counted. buffer_full and stale: inference is too slow.",
                stacked=True,
            ),
            Graph(
                "Frames waiting",
                "short",
                ((f"max by (camera) (trinetra_frames_waiting{{{CAMERA}}})", "{{camera}}"),),
                "In the buffer: not yet read, or held by a worker. At 100 the oldest are dropped.",
            ),
            Graph(
                "Frames decoded",
                "ops",
                ((_rate("trinetra_frames_read_total", "camera"), "{{camera}}"),),
                "What cameras send; an idle camera is decoded by key frames only.",
            ),
            Graph(
                "Sampling rate",
                "hertz",
                ((f"max by (camera) (trinetra_sample_rate_hz{{{CAMERA}}})", "{{camera}}"),),
                "The rate that motion and load allow now.",
            ),
            Graph(
                "Lost connections",
                "ops",
                (
                    (
                        _rate("trinetra_camera_failures_total", "camera, failure"),
                        "{{camera}} {{failure}}",
                    ),
                ),
                "Connections to cameras that were lost or refused.",
            ),
        ),
    ),
    (
        "Inference",
        (
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
                "Frames inferred, by replica",
                "ops",
                (
                    (
                        _rate("trinetra_frames_inferred_total", "instance"),
                        "{{instance}}",
                    ),
                ),
                "How the replicas share the work.",
                stacked=True,
            ),
            Graph(
                "Frames in a batch",
                "short",
                (
                    (
                        _rate("trinetra_batch_frames_sum", "instance", "")
                        + " / "
                        + _rate("trinetra_batch_frames_count", "instance", ""),
                        "{{instance}}",
                    ),
                ),
                "The mean; near the maximum a worker is busy, near one it waits for frames.",
            ),
        ),
    ),
    (
        "Event log",
        (
            Graph(
                "Records not yet committed",
                "short",
                (("sum by (service) (trinetra_consumer_lag)", "{{service}}"),),
                "The lag of each consumer group; it grows while a service is down or too slow.",
            ),
            Graph(
                "Spool",
                "bytes",
                (
                    ("sum by (instance) (trinetra_spool_bytes)", "{{instance}}"),
                    ("max(trinetra_spool_max_bytes)", "limit of each"),
                ),
                "Events on a worker's disk while Kafka is away.",
            ),
            Graph(
                "Oldest record in the spool",
                "s",
                (("max by (instance) (trinetra_spool_oldest_seconds)", "{{instance}}"),),
                "How long it has waited for Kafka.",
            ),
            Graph(
                "Spooled and drained",
                "ops",
                (
                    ("sum(rate(trinetra_spooled_total[$__rate_interval]))", "onto disk"),
                    ("sum(rate(trinetra_spool_drained_total[$__rate_interval]))", "to Kafka"),
                ),
                "Records a second.",
            ),
            Graph(
                "Late or repeated events",
                "ops",
                (
                    (
                        _rate("trinetra_events_late_total", "camera, reason"),
                        "{{camera}} {{reason}}",
                    ),
                ),
                "Too late for their order, or seen before; repeats are normal after a crash.",
            ),
            Graph(
                "Dead letters and unreadable state",
                "short",
                (
                    (
                        _increase("trinetra_events_rejected_total", "topic"),
                        "{{topic}}",
                    ),
                    (
                        _increase("trinetra_state_rejected_total", "topic"),
                        "state {{topic}}",
                    ),
                    (
                        _increase("trinetra_spool_corrupt_total", "instance"),
                        "spool {{instance}}",
                    ),
                ),
                "Records that could not be used; should be none.",
                stacked=True,
            ),
        ),
    ),
    (
        "Identities",
        (
            Graph(
                "Decisions, by status",
                "ops",
                ((_rate("trinetra_identities_total", "status"), "{{status}}"),),
                "known, new, unknown.",
                stacked=True,
            ),
            Graph(
                "Verdicts of the spatiotemporal gate",
                "ops",
                ((_rate("trinetra_gate_verdicts_total", "verdict"), "{{verdict}}"),),
                "impossible: a strong match that nobody could have walked.",
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
                "Share of unknown people",
                "percentunit",
                (
                    ("trinetra:unknown_share:rate1h", "this hour"),
                    ("trinetra:unknown_share:rate1h offset 1w", "the same hour a week ago"),
                ),
                "A lasting difference is drift: a camera, its light or the model changed.",
            ),
            Graph(
                "Faces not used",
                "ops",
                (
                    (
                        _rate("trinetra_faces_ignored_total", "camera, reason"),
                        "{{camera}} {{reason}}",
                    ),
                ),
                "Embeddings of another model or dimension than the gallery's.",
            ),
        ),
    ),
    (
        "Insights and alerts of the shop",
        (
            Graph(
                "Insights, by kind",
                "ops",
                ((_rate("trinetra_insights_total", "kind", ""), "{{kind}}"),),
                "What the insight engine recorded.",
                stacked=True,
                width=_HALF,
            ),
            Graph(
                "Alerts raised, by rule",
                "short",
                (
                    (
                        _increase("trinetra_alerts_total", "rule"),
                        "{{rule}}",
                    ),
                ),
                "Alerts about the shop, in trinetra.alerts; those about the platform are above.",
                stacked=True,
                width=_HALF,
            ),
        ),
    ),
)


def build() -> str:
    """Return the dashboard as JSON."""
    board = (
        dashboard.Dashboard("TRINETRA")
        .uid("trinetra")
        .tags(["trinetra"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(_camera_variable())
    )
    for number in OVERVIEW:
        board = board.with_panel(_number(number))
    board = board.with_panel(_camera_states())
    for title, graphs in ROWS:
        board = board.with_row(dashboard.Row(title))
        for graph in graphs:
            board = board.with_panel(_graph(graph))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _query(expr: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref_id).datasource(SOURCE)


def _camera_variable() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("camera")
        .label("Camera")
        .datasource(SOURCE)
        .query("label_values(trinetra_camera_state, camera)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _number(number: Number) -> stat.Panel:
    return (
        stat.Panel()
        .title(number.title)
        .datasource(SOURCE)
        .unit(number.unit)
        .color_mode(BigValueColorMode.BACKGROUND)
        .thresholds(_thresholds(number))
        .with_target(_query(number.query, number.title, "A"))
        .height(_STAT_HEIGHT)
        .span(_STAT)
    )


def _thresholds(number: Number) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    if number.red_below is not None:
        steps = [
            Threshold(value=None, color="red"),
            Threshold(value=number.red_below, color="green"),
        ]
    elif number.red_from is not None:
        steps.append(Threshold(value=number.red_from, color="red"))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _camera_states() -> statetimeline.Panel:
    not_streaming = 'trinetra_camera_state{state=~"connecting|stalled|backoff|disabled"}'
    streams = f"1 - clamp_max(sum by (camera) ({not_streaming}), 1)"
    steps = [Threshold(value=None, color="red"), Threshold(value=1, color="green")]
    return (
        statetimeline.Panel()
        .title("Cameras: green while they stream")
        .datasource(SOURCE)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .with_target(_query(streams, "{{camera}}", "A"))
        .height(_HEIGHT)
        .span(_WIDTH)
    )


def _graph(graph: Graph) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .description(graph.description)
        .datasource(SOURCE)
        .unit(graph.unit)
        .min(0)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(_HEIGHT)
        .span(graph.width)
    )
    if graph.stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for number, (expr, legend) in enumerate(graph.queries):
        panel = panel.with_target(_query(expr, legend, chr(ord("A") + number)))
    return panel


if __name__ == "__main__":
    sys.stdout.write(build())
