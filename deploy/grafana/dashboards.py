"""Builds the Grafana dashboard from the metrics of ``trinetra.telemetry``.

``make docs`` writes it to ``deploy/grafana/dashboards/trinetra.json``; tests fail if the two
differ, or if a panel uses a metric that no service has.
"""  # noqa: INP001 - a script, not a package

import json
import sys

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
from panels import OVERVIEW, RED_BELOW_1, ROWS, Colors, Graph, Number

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
_WIDTH, _STAT = 24, 4
_HEIGHT, _STAT_HEIGHT = 8, 4


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
    for title, graphs in ROWS.items():
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
        .thresholds(_thresholds(number.colors))
        .with_target(_query(number.query, number.title, "A"))
        .height(_STAT_HEIGHT)
        .span(_STAT)
    )


def _thresholds(colors: Colors) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=value, color=color) for value, color in colors]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _camera_states() -> statetimeline.Panel:
    not_streaming = 'trinetra_camera_state{state=~"connecting|stalled|backoff|disabled"}'
    streams = f"1 - clamp_max(sum by (camera) ({not_streaming}), 1)"
    return (
        statetimeline.Panel()
        .title("Cameras: green while they stream")
        .datasource(SOURCE)
        .thresholds(_thresholds(RED_BELOW_1))
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
    for number, (legend, expr) in enumerate(graph.queries.items()):
        panel = panel.with_target(_query(expr, legend, chr(ord("A") + number)))
    return panel


if __name__ == "__main__":
    sys.stdout.write(build())
