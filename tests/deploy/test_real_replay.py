"""The dashboards over the real thing: Kafka, the monitor and a replay as processes, and a Prometheus that watches."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.settings import KafkaSettings
from tests.deploy.panels import ask, wait_for_panels
from tests.deploy.server import free_port, prometheus

# From here on both scripts have an alarm within seconds: ventricular tachycardia, fibrillation, asystole.
FROM_S = "38"
PATIENTS = ("arrest", "vt")
WARD = "TelebeatAlarm|TelebeatAlarmStands"
SLOW = "TelebeatAlertLate|TelebeatAnalysisSlow|TelebeatLag"  # this machine's matter, not the program's
READY_S = 400.0  # a first start compiles all kernels
STOP_S = 60.0


@contextlib.contextmanager
def telebeat(cluster: KafkaSettings, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the end of the block; whatever it says is in `log`."""
    environment = os.environ | {
        "TELEBEAT_KAFKA_BOOTSTRAP": cluster.bootstrap,
        "TELEBEAT_KAFKA_TOPIC_PREFIX": cluster.topic_prefix,
        "TELEBEAT_KAFKA_GROUP": cluster.group,
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("telebeat"), *arguments],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


def wait_ready(port: int, monitor: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and monitor.poll() is None:
        with contextlib.suppress(OSError):  # refused, or 503: not yet
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return
        time.sleep(0.2)
    pytest.fail(f"the monitor did not get ready:\n{log.read_text()[-3000:]}")


def wait_for_series(url: str, expr: str) -> bool:
    """Whether a query has a result, before long: an alert is evaluated after what it watches."""
    deadline = time.monotonic() + STOP_S
    while not (found := bool(ask(url, "query", {"query": expr})["data"]["result"])) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


@pytest.mark.prometheus
@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_every_panel_shows_a_real_replay_and_only_the_wards_alarms_fire(kafka: KafkaSettings, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "monitor.log"
    with telebeat(kafka, tmp_path / "topics.log", "topics", "create", "--partitions", "2") as topics:
        assert topics.wait(STOP_S) == 0, (tmp_path / "topics.log").read_text()
    scripts = [word for name in PATIENTS for word in ("--script", name)]
    data = tmp_path / "prometheus"
    data.mkdir()
    options = ("--http-port", str(port), "--checkpoint-s", "1", "--silent-after-s", "60")
    with telebeat(kafka, log, "monitor", *options) as monitor:
        wait_ready(port, monitor, log)
        with (
            prometheus([f"127.0.0.1:{port}"], data) as url,
            telebeat(kafka, tmp_path / "replay.log", "replay", *scripts, "--beds", "4", "--loop", "--from", FROM_S),
        ):
            missing = wait_for_panels(url, timeout_s=90)
            stood = wait_for_series(url, f"max_over_time(ALERTS{{alertname=~'{WARD}'}}[10m])")
            wrong = ask(url, "query", {"query": f"ALERTS{{alertname!~'{WARD}|{SLOW}'}}"})
    assert missing == [], log.read_text()[-3000:]
    assert stood
    assert wrong["data"]["result"] == []
