"""A real Prometheus for a test: on loopback, in a temporary folder, with the rules of `deploy/`."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.conftest import missing

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
START_S: Final = 30.0


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`. Without it the test is skipped; under CI it fails."""
    path = shutil.which(name)
    return path or missing(name, "tests/bring_prometheus.sh (as root)")


@contextlib.contextmanager
def prometheus(targets: Sequence[str], folder: Path, scrape_s: float = 0.5) -> Iterator[str]:
    """Run Prometheus with `deploy`'s configuration over these targets; yields its URL.

    Parameters
    ----------
    targets : sequence of str
        ``host:port`` of each worker's `/metrics`.
    folder : Path
        Empty; for its configuration and its data.
    scrape_s : float
        Seconds between two scrapes and between two evaluations of the rules.
    """
    server = program("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    interval = f"{round(scrape_s * 1000)}ms"
    config["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["rule_files"] = [str(DEPLOY / "prometheus" / rules) for rules in config["rule_files"]]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": list(targets)}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                server,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
            return
        time.sleep(0.1)
    pytest.fail(f"prometheus did not start:\n{log.read_text()[-2000:]}")
