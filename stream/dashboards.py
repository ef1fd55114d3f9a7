"""The two Grafana dashboards, *Pipeline* and *Ward alarms*, as code.

`build` makes them with grafana-foundation-sdk, whose types are generated from Grafana's own schema; `write` puts them
where Grafana's provisioning reads them. What is committed under `deploy/grafana/dashboards` is what `write` makes.

Every query adds up over workers, so that a dashboard holds for any number of them. Percentiles and lag come from the
recording rules in `deploy/prometheus/rules/recording.yml`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from stream.metrics import Stage
from stream.panels import PRIORITY_COLORS, Query, bars, graph, histogram, number

#: The reader may have more than one Prometheus: a variable of each dashboard, at first Grafana's default.
DATASOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

WIDTH: Final = 24  # columns of Grafana's grid


@dataclasses.dataclass(frozen=True)
class Row:
    """A heading and what stands under it, so many panels a line."""

    title: str
    columns: int
    panels: list[Any]


def pipeline() -> Any:
    """*Pipeline*, for who runs the monitor: latencies of the stages, throughput, lag, faults, resources."""
    percentiles = ("p50", "p95", "p99")
    stages = "stage:telebeat_stage_seconds"
    way = "ward:telebeat_frame_to_alert_seconds"
    cpu = "rate(process_cpu_seconds_total{job='telebeat'}[$__rate_interval])"
    rows: list[Row] = [
        Row(
            "Now",
            8,
            [
                number("Workers", "sum(up{job='telebeat'})", red_below=1),
                number("Ready", "sum(telebeat_ready)", red_below=1),
                number("Connected to Kafka", "sum(telebeat_kafka_up)", red_below=1),
                number("Beds", "ward:telebeat_beds:sum"),
                number("Frames", "ward:telebeat_frames:rate1m", unit="cps"),
                number("Lag, worst partition", "ward:telebeat_lag_seconds:max", unit="s", red_from=5),
                number("Frame → alert, p99", f"{way}:p99", unit="s", red_from=1, none="no alerts"),
                number("Version", "count by (version) (telebeat_build_info)", legend="{{version}}", name=True),
            ],
        ),
        Row(
            "Latency",
            3,
            [
                graph("Stages, median", [Query(f"{stages}:p50", "{{stage}}")], unit="s", log=True),
                graph("Stages, 99th percentile", [Query(f"{stages}:p99", "{{stage}}")], unit="s", log=True),
                graph("Frame → alert", [Query(f"{way}:{p}", p) for p in percentiles], unit="s", none="no alerts"),
            ],
        ),
        Row(
            "Where the time goes",
            3,
            [
                *(histogram(f"Stage {stage}", f"telebeat_stage_seconds_bucket{{stage='{stage}'}}") for stage in Stage),
                histogram("Frame → alert", "telebeat_frame_to_alert_seconds_bucket"),
            ],
        ),
        Row(
            "Throughput",
            4,
            [
                graph("Frames", [Query("ward:telebeat_frames:rate1m", "frames")], unit="cps"),
                graph("Sampling instants", [Query("ward:telebeat_samples:rate1m", "instants")], unit="cps"),
                graph("Beats by class", [Query("label:telebeat_beats:rate1m", "{{label}}")], unit="cps", stack=True),
                graph(
                    "Messages out",
                    [
                        Query("sum(rate(telebeat_alert_publishes_total[$__rate_interval]))", "alerts"),
                        Query("sum(rate(telebeat_snapshots_total[$__rate_interval]))", "snapshots"),
                    ],
                    unit="cps",
                ),
            ],
        ),
        Row(
            "Lag",
            3,
            [
                graph("Signal not read yet", [Query("partition:telebeat_lag_seconds:min", "{{partition}}")], unit="s"),
                graph("Frames not read yet", [Query("ward:telebeat_lag_frames:sum", "frames")]),
                graph("Oldest snapshot", [Query("max(telebeat_snapshot_age_seconds)", "age")], unit="s"),
            ],
        ),
        Row(
            "Faults",
            3,
            [
                graph(
                    "Frames refused, by reason", [Query("reason:telebeat_frames_rejected:rate1m", "{{reason}}")], "cps"
                ),
                graph("Technical events", [Query("kind:telebeat_technical_events:rate1m", "{{kind}}")], "cps"),
                graph(
                    "Messages Kafka did not take, beds begun anew",
                    [
                        Query("sum(increase(telebeat_publish_errors_total[$__rate_interval]))", "messages"),
                        Query("sum(increase(telebeat_cold_starts_total[$__rate_interval]))", "beds"),
                    ],
                ),
            ],
        ),
        Row(
            "Resources",
            3,
            [
                graph("CPU of a worker, in cores", [Query(cpu, "{{instance}}")]),
                graph("CPU of a bed, in cores", [Query(f"sum({cpu}) / (sum(telebeat_beds) > 0)", "core / bed")]),
                graph(
                    "Memory of a worker",
                    [Query("process_resident_memory_bytes{job='telebeat'}", "{{instance}}")],
                    unit="bytes",
                ),
            ],
        ),
    ]
    return _dashboard("Pipeline", "telebeat-pipeline", "The way of a sample, stage by stage", rows)


def ward_alarms() -> Any:
    """*Ward alarms*, for the ward: what stands, what was raised, how good the signals are, how late alerts come."""
    active = "rule_priority:telebeat_alerts_active:sum"
    way = "ward:telebeat_frame_to_alert_seconds"
    raised = "sum by (rule, priority) (increase(telebeat_alerts_raised_total[{}]))"
    rows: list[Row] = [
        Row(
            "Now",
            6,
            [
                *(
                    number(f"Alerts, {priority}", f"sum({active}{{priority='{priority}'}})", color_from_1=color)
                    for priority, color in PRIORITY_COLORS.items()
                ),
                number("Beds", "ward:telebeat_beds:sum"),
                number("Beds silent", "ward:telebeat_beds_silent:sum", red_from=1),
                number("Frame → alert, p99", f"{way}:p99", unit="s", red_from=1, none="no alerts"),
            ],
        ),
        Row(
            "Alerts",
            2,
            [
                graph(
                    "Active, by rule and priority",
                    # 45 pairs, most of them never: only those that stood at some moment of the picture
                    [Query(f"{active} and max_over_time({active}[$__range]) > 0", "{{rule}} · {{priority}}")],
                    none="none in this time",
                    stack=True,
                ),
                graph(
                    "Active, by priority",
                    [Query(f"sum by (priority) ({active})", "{{priority}}")],
                    priorities=True,
                    stack=True,
                ),
                graph(
                    "Raised, by rule and priority",
                    [Query(f"{raised.format('$__rate_interval')} > 0", "{{rule}} · {{priority}}")],
                    none="none in this time",
                    columns=True,
                ),
                bars(
                    "Raised in this time",
                    Query(f"sort_desc({raised.format('$__range')} > 0)", "{{rule}} · {{priority}}", instant=True),
                ),
            ],
        ),
        Row(
            "Beds",
            3,
            [
                graph("Signal of the best lead", [Query("state:telebeat_beds_signal:sum", "{{state}}")], stack=True),
                graph(
                    "Beds that send, beds that are silent",
                    [
                        Query("ward:telebeat_beds:sum - ward:telebeat_beds_silent:sum", "sending"),
                        Query("ward:telebeat_beds_silent:sum", "silent"),
                    ],
                    stack=True,
                ),
                graph(
                    "Last frame of the quietest bed", [Query("max(telebeat_last_frame_age_seconds)", "age")], unit="s"
                ),
            ],
        ),
        Row(
            "How late",
            2,
            [
                graph("Frame → alert", [Query(f"{way}:{p}", p) for p in ("p50", "p95", "p99")], "s", none="no alerts"),
                histogram("Frame → alert", "telebeat_frame_to_alert_seconds_bucket"),
            ],
        ),
        Row(
            "Beats",
            2,
            [
                graph("Beats by class", [Query("label:telebeat_beats:rate1m", "{{label}}")], unit="cps", stack=True),
                graph(
                    "Beats of a bed a minute",
                    [Query("60 * sum(label:telebeat_beats:rate1m) / (sum(telebeat_beds) > 0)", "mean")],
                ),
            ],
        ),
    ]
    return _dashboard("Ward alarms", "telebeat-ward-alarms", "What stands on the ward, and how late it was said", rows)


def build() -> dict[str, str]:
    """File name -> JSON of both dashboards, the same bytes in every run."""
    both = {"pipeline.json": pipeline(), "ward-alarms.json": ward_alarms()}
    return {
        name: JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).encode(it) + "\n" for name, it in both.items()
    }


def write(folder: Path) -> list[Path]:
    """Write both dashboards into `folder`, which is made when it is not there; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in build().items():
        files.append(folder / name)
        files[-1].write_text(text, encoding="utf-8")
    return files


def _dashboard(title: str, uid: str, description: str, rows: list[Row]) -> Any:
    page = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["telebeat"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            dashboard.DashboardLink("telebeat")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["telebeat"])
            .keep_time(True)
        )
    )
    count = 0
    for row in rows:
        count += 1
        page.with_row(dashboard.Row(row.title).id(count))
        for panel in row.panels:
            count += 1
            page.with_panel(panel.id(count).span(WIDTH // row.columns).datasource(DATASOURCE))
    return page.build()
