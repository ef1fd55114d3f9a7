"""No container engine is needed: what the compose file names must exist, and telebeat must take its commands.

The file was loaded with the reference loader of the Compose specification (compose-go) when it was written.
"""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from typing import Any

import pytest
import typer
import yaml

from stream.cli import app
from stream.settings import KafkaSettings, Settings
from tests.deploy.server import DEPLOY

REPOSITORY = DEPLOY.parent
COMPOSE: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def mounts(service: Any) -> list[str]:
    """Sources of a service's mounts; a variable stands for its default."""
    return [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", mount).split(":")[0] for mount in service.get("volumes", ())]


@pytest.mark.parametrize("name", OURS)
def test_telebeat_takes_the_command(name: str) -> None:
    group: Any = typer.main.get_command(app)
    arguments = list(SERVICES[name]["command"])
    while hasattr(group, "commands"):
        group = group.commands[arguments.pop(0)]
    group.make_context(name, arguments)  # parses and checks, runs nothing


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    known = {f"TELEBEAT_KAFKA_{field}".upper() for field in KafkaSettings.model_fields}
    known |= {f"TELEBEAT_{field}".upper() for field in Settings.model_fields}
    assert set(SERVICES[name]["environment"]) <= known


def test_the_page_of_the_monitor_is_the_one_that_prometheus_reads() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (lookup,) = job["dns_sd_configs"]
    monitor = SERVICES[lookup["names"][0]]
    assert monitor["environment"]["TELEBEAT_HTTP_PORT"] == str(lookup["port"])
    assert f":{lookup['port']}/readyz" in monitor["healthcheck"]["test"][-1]
    assert monitor["environment"]["TELEBEAT_HTTP_HOST"] == "0.0.0.0"


def test_scripted_patients_exist() -> None:
    from replay.script import builtin

    command = SERVICES["replay"]["command"]
    scripts = [after for before, after in pairwise(command) if before == "--script"]
    assert scripts
    assert set(scripts) <= set(builtin())


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_needs_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for source in mounts(service):
        # The folder of records is the user's; everything else is in the repository or a declared volume.
        assert source in COMPOSE["volumes"] or "shared/data" in source or (DEPLOY / source).exists(), source


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_ports_stay_on_this_machine(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"telebeat:{project['version']}"}
    jars = (REPOSITORY / "stream" / "kafka_jars.json").read_text()
    assert f"kafka_2.13-{SERVICES['kafka']['image'].partition(':')[2]}.jar" in jars


def test_grafana_finds_its_dashboards_where_they_are_mounted() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards" / "telebeat.yml").read_text())["providers"]
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    volumes = SERVICES["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in volumes
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in volumes
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / home.rpartition("/")[2]).exists()
    assert source["url"] == "http://prometheus:9090"


def test_the_container_copies_what_there_is() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    sources = [s for line in lines if line.startswith("COPY ") and "--from" not in line for s in line.split()[1:-1]]
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text().split()
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(packages["packages"]) <= set(sources)
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert f"!{source}" in allowed, source
