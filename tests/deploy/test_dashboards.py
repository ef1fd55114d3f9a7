from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream.dashboards import build, write
from tests.deploy.panels import DASHBOARDS
from tests.deploy.schema import problems

FILES = sorted(DASHBOARDS.glob("*.json"))


def load(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_committed_dashboards_are_what_the_command_writes(tmp_path: Path) -> None:
    written = write(tmp_path / "new" / "folder")
    assert {f.name: f.read_text(encoding="utf-8") for f in written} == {
        f.name: f.read_text(encoding="utf-8") for f in FILES
    }


def test_two_builds_are_the_same_bytes() -> None:
    assert build() == build()


def test_command_writes_both(tmp_path: Path) -> None:
    from stream.cli import app

    result = CliRunner().invoke(app, ["dashboards", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {f.name for f in tmp_path.iterdir()} == {"pipeline.json", "ward-alarms.json"}


def test_without_the_sdk_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from stream.cli import app
    from stream.errors import ExtraError

    for name in [name for name in sys.modules if name.startswith("grafana_foundation_sdk")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("stream.dashboards", "stream.panels"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)
    result = CliRunner().invoke(app, ["dashboards", "--out", str(tmp_path)])
    assert isinstance(result.exception, ExtraError)
    assert "pip install grafana-foundation-sdk" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_dashboard_is_what_grafanas_schema_allows(file: Path) -> None:
    assert problems(load(file)) == []


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("refresh",), 5),
        (("titel",), "Pipeline"),
        (("panels", 1, "gridPos", "w"), "wide"),
        (("panels", 1, "options", "textMode"), "loud"),
        (("panels", 1, "targets", 0, "query"), "up"),
        (("panels", 1, "fieldConfig", "defaults", "thresholds", "mode"), "relative"),
        (("panels", 1, "type"), "piechart-of-my-own"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_schema_refuses(where: tuple[str | int, ...], wrong: object) -> None:
    page = load(FILES[0])
    spoilt = inner = copy.deepcopy(page)
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = wrong
    assert problems(spoilt)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_panels_lie_side_by_side_within_the_grid(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    panels = load(file)["panels"]
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(0 <= x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_panel_asks_the_chosen_prometheus_and_is_named(file: Path) -> None:
    panels = [panel for panel in load(file)["panels"] if panel["type"] != "row"]
    assert len(panels) >= 10
    for panel in panels:
        assert panel["title"]
        assert panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
