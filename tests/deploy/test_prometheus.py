from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.metrics import Metrics
from tests.deploy import worker
from tests.deploy.panels import check_panels, queries, wait_for_panels
from tests.deploy.server import DEPLOY, program, prometheus

PROMETHEUS = DEPLOY / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = PROMETHEUS / "tests" / "alerts.test.yml"


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def all_rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in read(file)["groups"] for rule in group["rules"]]


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.prometheus
def test_promtool_takes_the_configuration() -> None:
    assert f"{len(RULES)} rule files found" in promtool("check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.prometheus
def test_promtool_takes_the_rules_without_a_lint() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.prometheus
def test_alerts_fire_when_they_must_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


def test_each_alert_is_tested_silent_and_firing() -> None:
    cases = [case for test in read(UNIT_TESTS)["tests"] for case in test.get("alert_rule_test", ())]
    for alert in {rule["alert"] for rule in all_rules() if "alert" in rule}:
        fires = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == alert}
        assert fires == {True, False}, alert


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in all_rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert set(rule["annotations"]) == {"summary", "action"}


def test_every_name_in_rules_and_panels_is_a_metric_or_a_recorded_series() -> None:
    exposed = set(re.findall(r"^([a-z_]+)(?:\{| )", Metrics().render().decode(), flags=re.MULTILINE))
    # Series of a label that has no values before there are partitions.
    known = (
        exposed | {"telebeat_lag_seconds", "telebeat_lag_frames"} | {r["record"] for r in all_rules() if "record" in r}
    )
    for expr in [rule["expr"] for rule in all_rules()] + [query.expr for query in queries()]:
        names = set(re.findall(r"[a-z_]+(?::\w+)+|(?:telebeat|process)_\w+", expr))
        assert names <= known, expr
        assert names or "up{" in expr, expr


def test_every_recorded_series_is_used() -> None:
    used = " ".join([rule["expr"] for rule in all_rules()] + [query.expr for query in queries()])
    assert [rule["record"] for rule in all_rules() if "record" in rule and rule["record"] not in used] == []


@pytest.mark.prometheus
def test_every_panel_shows_data_of_a_busy_worker(tmp_path: Path) -> None:
    metrics = Metrics()
    with worker.serve(metrics) as target, prometheus([target], tmp_path) as url, worker.load(metrics):
        assert wait_for_panels(url, timeout_s=60) == []


@pytest.mark.prometheus
def test_panels_without_data_are_named(tmp_path: Path) -> None:
    with worker.serve(Metrics()) as target, prometheus([target], tmp_path) as url:
        missing = check_panels(url)
    assert any("Active, by rule and priority" in line for line in missing)
    assert any("Frame → alert" in line for line in missing)
