"""Do the dashboards show anything? Every query of every panel, put to a real Prometheus as Grafana would.

For the tests here and for every other one that has a monitor running: start `tests.deploy.server.prometheus` on its
`/metrics` and call `wait_for_panels`.
"""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

DASHBOARDS: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
STEP_S: Final = 1.0


class PanelQuery(NamedTuple):
    """A query as it stands in a dashboard."""

    dashboard: str
    panel: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.panel}: {self.expr}"


def queries(folder: Path = DASHBOARDS) -> Iterator[PanelQuery]:
    """All queries of the dashboards in a folder."""
    for file in sorted(folder.glob("*.json")):
        page = json.loads(file.read_text(encoding="utf-8"))
        for panel in page["panels"]:
            for target in panel.get("targets", ()):
                yield PanelQuery(page["title"], panel["title"], target["expr"], bool(target.get("instant")))


def check_panels(prometheus_url: str, seconds: float = 60.0, rate_interval: str = "10s") -> list[str]:
    """Queries without data.

    Parameters
    ----------
    prometheus_url : str
        Such as ``http://127.0.0.1:9090``.
    seconds : float
        How far back the picture goes.
    rate_interval : str
        Put in the place of Grafana's `$__rate_interval`: four scrape intervals or more.

    Returns
    -------
    list of str
        One line a query that has no series, only NaN, or is refused; empty when every panel shows something.
    """
    end = time.time()
    variables = {"$__rate_interval": rate_interval, "$__range": f"{math.ceil(seconds)}s", "$__interval": f"{STEP_S:g}s"}
    missing = []
    for query in queries():
        expr = query.expr
        for name, value in variables.items():
            expr = expr.replace(name, value)
        parameters = {"query": expr}
        if query.instant:
            parameters["time"] = f"{end:.3f}"
        else:
            parameters |= {"start": f"{end - seconds:.3f}", "end": f"{end:.3f}", "step": f"{STEP_S:g}"}
        answer = ask(prometheus_url, "query" if query.instant else "query_range", parameters)
        if answer["status"] != "success":
            missing.append(f"{query}: {answer.get('error')}")
        elif not any(map(_shows, answer["data"]["result"])):
            missing.append(str(query))
    return missing


def wait_for_panels(prometheus_url: str, timeout_s: float, **options: Any) -> list[str]:
    """`check_panels` until nothing is missing, or the time is up: what is missing then."""
    deadline = time.monotonic() + timeout_s
    while (missing := check_panels(prometheus_url, **options)) and time.monotonic() < deadline:
        time.sleep(STEP_S)
    return missing


def ask(prometheus_url: str, what: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The answer of Prometheus' HTTP API, also when it is an error."""
    url = f"{prometheus_url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            answer = json.load(error)
    return answer


def _shows(series: dict[str, Any]) -> bool:
    """Whether a series has a number to draw."""
    points = series.get("values") or [series["value"]]
    return any(math.isfinite(float(value)) for _, value in points)
