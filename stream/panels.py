"""Grafana panels as telebeat draws them: a number, lines over time, bars, a heat map of a histogram.

The builders of grafana-foundation-sdk behind four functions, so that `stream.dashboards` reads as a list of questions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, stat, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

#: Colours of the signals of IEC 60601-1-8, so that a panel says what the bedside says.
PRIORITY_COLORS: Final = {"high": "red", "medium": "yellow", "low": "#5bc0de"}

HEIGHT: Final = 8  # of a graph, in rows of Grafana's grid; its legend takes two
HEIGHT_NUMBER: Final = 4


@dataclasses.dataclass(frozen=True)
class Query:
    """A query in PromQL and how its series are named; `instant` asks for now only."""

    expr: str
    legend: str = "__auto"
    instant: bool = False


def _targets(panel: Any, queries: Sequence[Query]) -> Any:
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        target = Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        panel.with_target(target.instant() if query.instant else target.range())
    return panel


def _thresholds(*steps: tuple[float | None, str]) -> Any:
    return dashboard.ThresholdsConfig().steps([model.Threshold(value=value, color=color) for value, color in steps])


def number(
    title: str,
    expr: str,
    unit: str = "short",
    *,
    red_from: float | None = None,
    red_below: float | None = None,
    color_from_1: str | None = None,
    legend: str = "__auto",
    name: bool = False,
    none: str = "-",
) -> Any:
    """One number; `name` shows the series' name in its place."""
    panel = (
        stat.Panel()
        .title(title)
        .unit(unit)
        .no_value(none)
        .height(HEIGHT_NUMBER)
        .graph_mode(look.BigValueGraphMode.NONE)
    )
    if color_from_1 is not None:
        panel.thresholds(_thresholds((None, "green"), (1, color_from_1))).color_mode(look.BigValueColorMode.BACKGROUND)
    elif red_from is not None:
        panel.thresholds(_thresholds((None, "green"), (red_from, "red")))
    elif red_below is not None:
        panel.thresholds(_thresholds((None, "red"), (red_below, "green")))
    else:
        panel.thresholds(_thresholds((None, "text")))
    if name:
        panel.text_mode(look.BigValueTextMode.NAME)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    return _targets(panel, [Query(expr, legend, instant=True)])


def graph(
    title: str,
    queries: Sequence[Query],
    unit: str = "short",
    *,
    log: bool = False,
    stack: bool = False,
    columns: bool = False,
    priorities: bool = False,
    none: str = "no data",
) -> Any:
    """Lines over time; `stack` piles them up, `columns` draws columns, `priorities` colours high, medium and low."""
    panel = (
        timeseries.Panel()
        .title(title)
        .unit(unit)
        .no_value(none)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(30 if stack else 0)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.TABLE)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
    )
    if log:  # stages differ by factors of a thousand
        panel.scale_distribution(common.ScaleDistributionConfig().type(look.ScaleDistribution.LOG).log(10))
    else:
        panel.axis_soft_min(0)
    if stack or columns:
        panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL).group("A"))
    if columns:
        panel.draw_style(look.GraphDrawStyle.BARS).fill_opacity(80)
    if priorities:
        for priority, color in PRIORITY_COLORS.items():
            value = {"mode": "fixed", "fixedColor": color}
            panel.override_by_name(priority, [model.DynamicConfigValue(id_val="color", value=value)])
    return _targets(panel, queries)


def bars(title: str, query: Query) -> Any:
    """One bar a series, of what holds now."""
    panel = (
        bargauge.Panel()
        .title(title)
        .unit("short")
        .decimals(0)
        .no_value("none in this time")
        .height(HEIGHT)
        .orientation(look.VizOrientation.HORIZONTAL)
        .display_mode(look.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .thresholds(_thresholds((None, "blue")))
    )
    return _targets(panel, [query])


def histogram(title: str, buckets: str) -> Any:
    """How many fell into each bucket of a histogram, over time."""
    query = f"sum by (le) (increase({buckets}[$__rate_interval]))"
    target = Dataquery().expr(query).legend_format("{{le}}").ref_id("A").range().format(PromQueryFormat.HEATMAP)
    return (
        heatmap.Panel()
        .title(title)
        .height(HEIGHT)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(look.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().decimals(0))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .scale(heatmap_model.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .fill("dark-orange")
            .steps(64)
            .reverse(False)
        )
        .mode(look.TooltipDisplayMode.SINGLE)
        .show_y_histogram()
        .with_target(target)
    )
