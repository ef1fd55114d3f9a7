from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from detector import types
from model.codes import CLASSES
from stream.frames import BATCH, REASONS
from stream.intake import Event
from stream.metrics import ALERT_BUCKETS, PRIORITIES, SIGNAL_STATES, STAGE_BUCKETS, Metrics, Stage
from stream.wire import Rule

# Each example renders and parses a page; a busy machine is no failure.
QUICK = settings(max_examples=40, deadline=None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def series(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value of the page as Prometheus would read it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return series(metrics)[f"telebeat_{name}", tuple(sorted(labels.items()))]


def labelled(metrics: Metrics, name: str) -> dict[str, float]:
    """Value of the only label -> value of the series."""
    return {labels[0][1]: v for (n, labels), v in series(metrics).items() if n == f"telebeat_{name}" and labels}


def test_everything_stands_at_zero_from_the_start() -> None:
    page = series(Metrics())
    started = {k: v for k, v in page.items() if k[0].startswith("telebeat_") and k[0] != "telebeat_build_info"}
    assert set(started.values()) == {0.0}
    for name, label, values in (
        ("stage_seconds_count", "stage", Stage),
        ("frames_rejected_total", "reason", (*REASONS, BATCH)),
        ("technical_events_total", "kind", Event),
        ("beats_total", "label", CLASSES),
        ("beds_signal", "state", SIGNAL_STATES.values()),
    ):
        assert {f"telebeat_{name}"} == {n for n, _ in started if n == f"telebeat_{name}"}
        assert {labels for n, labels in started if n == f"telebeat_{name}"} == {((label, str(v)),) for v in values}
    for name in ("alerts_raised_total", "alerts_active"):
        pairs = {labels for n, labels in started if n == f"telebeat_{name}"}
        assert pairs == {(("priority", p), ("rule", r.label)) for p in PRIORITIES for r in Rule}


def test_no_label_names_a_bed() -> None:
    names = {name for _, labels in series(Metrics()) for name, _ in labels}
    assert names == {"le", "stage", "reason", "kind", "label", "rule", "priority", "state", "version"}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for family in text_string_to_metric_families(Metrics().render().decode()):
        assert re.fullmatch(r"(telebeat|process)_[a-z_]+", family.name)
        assert family.documentation


def test_two_workers_in_one_process_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.frames.inc()
    assert value(one, "frames_total") == 1
    assert value(other, "frames_total") == 0


def test_every_state_of_a_lead_has_a_name() -> None:
    assert set(SIGNAL_STATES) == {types.GOOD, types.NOISY, types.SATURATED, types.FLAT, types.OFF}


@pytest.mark.parametrize("buckets", [STAGE_BUCKETS, ALERT_BUCKETS])
def test_buckets_keep_an_interpolated_percentile_within_its_promise(buckets: tuple[float, ...]) -> None:
    assert all(1.2 < above / below < 1.7 for below, above in pairwise(buckets))
    assert buckets[-1] == 10.0


@QUICK
@given(seconds=st.lists(st.floats(0, 20), max_size=20), stage=st.sampled_from(Stage))
def test_stage_counts_each_observation_once_in_each_bucket_above_it(seconds: list[float], stage: Stage) -> None:
    metrics = Metrics()
    for s in seconds:
        metrics.stage(stage).observe(s)
    page = series(metrics)
    for bound in STAGE_BUCKETS:
        key: Any = ("telebeat_stage_seconds_bucket", (("le", str(bound)), ("stage", stage.value)))
        assert page[key] == sum(s <= bound for s in seconds)
    assert sum(labelled(metrics, "stage_seconds_count").values()) == len(seconds)


@QUICK
@given(
    pictures=st.lists(
        st.dictionaries(
            st.tuples(st.sampled_from(Rule), st.sampled_from(PRIORITIES)), st.integers(0, 1000), max_size=39
        ),
        max_size=4,
    )
)
def test_active_is_the_last_picture_whatever_came_before(pictures: list[dict[tuple[Rule, str], int]]) -> None:
    metrics = Metrics()
    for picture in pictures:
        metrics.active(picture)
    last = pictures[-1] if pictures else {}
    shown = {labels: v for (name, labels), v in series(metrics).items() if name == "telebeat_alerts_active"}
    assert shown == {
        (("priority", priority), ("rule", rule.label)): last.get((rule, priority), 0)
        for rule in Rule
        for priority in PRIORITIES
    }


def test_signal_is_a_whole_picture() -> None:
    metrics = Metrics()
    metrics.signal({types.GOOD: 7, types.OFF: 1})
    metrics.signal({types.NOISY: 8})
    assert labelled(metrics, "beds_signal") == {"good": 0, "noisy": 8, "saturated": 0, "flat": 0, "off": 0}


@QUICK
@given(steps=st.lists(st.sets(st.integers(0, 15)), min_size=1, max_size=5))
def test_only_the_workers_own_partitions_have_a_lag(steps: list[set[int]]) -> None:
    metrics = Metrics()
    for partitions in steps:
        metrics.assigned(partitions)
        for partition in partitions:
            metrics.lag(partition, partition, 0.25 * partition)
    assert labelled(metrics, "lag_frames") == {str(p): p for p in steps[-1]}
    assert labelled(metrics, "lag_seconds") == {str(p): 0.25 * p for p in steps[-1]}


def test_a_new_partition_stands_at_zero_before_its_first_report() -> None:
    metrics = Metrics()
    metrics.assigned([3])
    assert labelled(metrics, "lag_frames") == {"3": 0}


def test_an_age_grows_without_anybody_touching_it() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    metrics.last_frame.since(98.0)
    assert value(metrics, "last_frame_age_seconds") == 2
    clock.now += 30  # the worker hangs
    assert value(metrics, "last_frame_age_seconds") == 32
    metrics.last_frame.since(None)
    assert value(metrics, "last_frame_age_seconds") == 0


def test_an_age_is_never_negative() -> None:
    metrics = Metrics(Clock())
    metrics.oldest_snapshot.since(101.0)
    assert value(metrics, "snapshot_age_seconds") == 0


def test_counters_count() -> None:
    metrics = Metrics()
    metrics.rejected("checksum")
    metrics.event(Event.GAP)
    metrics.event(Event.GAP, 2)
    metrics.beat("V", 3)
    metrics.raised(Rule.ASYSTOLE, "high")
    assert labelled(metrics, "frames_rejected_total")["checksum"] == 1
    assert labelled(metrics, "technical_events_total")["gap"] == 3
    assert labelled(metrics, "beats_total")["V"] == 3
    assert value(metrics, "alerts_raised_total", rule="asystole", priority="high") == 1


def test_the_build_and_the_process_are_named() -> None:
    page = series(Metrics())
    assert [v for (name, _), v in page.items() if name == "telebeat_build_info"] == [1.0]
    assert page["process_cpu_seconds_total", ()] > 0
    assert page["process_resident_memory_bytes", ()] > 1e6
