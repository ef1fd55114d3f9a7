"""Limits of the alarms: a wrong one is told, a misspelt one too, and each has its line in the manual."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from detector.types import RATE
from stream import limits
from stream.cli import app
from stream.errors import SettingsError
from stream.settings import load as load_settings
from stream.settings import load_kafka
from stream.ward import Ward

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "alarms.md"


@pytest.mark.parametrize("value", ["abc", "-5", "nan", ""])
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TELEBEAT_LIMIT_ASYSTOLE_S", value)
    with pytest.raises(SettingsError, match="TELEBEAT_LIMIT_ASYSTOLE_S"):
        limits.load()


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_misspelt_limit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    if place == "environment":
        monkeypatch.setenv("TELEBEAT_LIMIT_ASYSTOL_S", "5")
    else:
        Path(".env").write_text("TELEBEAT_LIMIT_ASYSTOL_S=5\nTELEBEAT_LOG_LEVEL=info\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"ASYSTOL_S is no limit.*TELEBEAT_LIMIT_ASYSTOLE_S"):
        limits.load()


def test_a_mark_of_its_encoding_before_the_file_hides_no_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("TELEBEAT_LIMIT_ASYSTOLE_S=5\n", encoding="utf-8-sig")
    assert limits.load().asystole_s == 5.0
    for load in (load_settings, load_kafka, limits.load):
        Path(".env").write_text("TELEBEAT_HTTP_HOST=\xe9\n", encoding="latin-1")
        with pytest.raises(SettingsError, match=r"\.env is not in UTF-8"):
            load()
    Path(".env").write_text("TELEBEAT_HTTP_PORT=7\n", encoding="utf-8-sig")
    assert load_settings().http_port == 7
    Path(".env").write_text("TELEBEAT_KAFKA_GROUP=mine\n", encoding="utf-8-sig")
    assert load_kafka().group == "mine"


def test_those_that_are_not_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEBEAT_LIMIT_ASYSTOLE_S", "5")
    monkeypatch.setenv("TELEBEAT_LIMIT_PAUSE_S", "2")
    assert limits.load().changed() == {"asystole_s": 5.0}
    assert limits.DEFAULTS.asystole_s == 4.0


@pytest.mark.parametrize("command", [["monitor"], ["annotate", "--out", "o", "r"], ["plot", "r", "--out", "o.png"]])
def test_a_command_refuses_it_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEBEAT_LIMIT_ASYSTOLE_S", "abc")
    ended = CliRunner().invoke(app, command)
    assert isinstance(ended.exception, SettingsError)
    assert list(tmp_path.iterdir()) == []


def test_the_manual_lists_every_limit() -> None:
    manual = MANUAL.read_text("utf-8")
    told = " ".join(CliRunner().invoke(app, ["monitor", "--help"], terminal_width=200).stdout.split())
    for name, field in limits.Limits.model_fields.items():
        low = next(bound.ge for bound in field.metadata if hasattr(bound, "ge"))
        high = next(bound.le for bound in field.metadata if hasattr(bound, "le"))
        variable = limits.PREFIX + name.upper()
        assert f"| `{variable}` | {field.default:g} | {low:g} to {high:g} | {field.description} |\n" in manual
        assert name.upper() in told


def test_the_monitor_logs_what_is_not_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEBEAT_LIMIT_ASYSTOLE_S", "5")
    monkeypatch.setattr("stream.logs.configure", lambda *_: None)
    monkeypatch.setattr("stream.warm.warm_up", lambda _: None)
    wards: list[Ward] = []
    monkeypatch.setattr("stream.serve.main", lambda settings, cluster, ward: wards.append(ward))
    with structlog.testing.capture_logs() as lines:
        assert CliRunner().invoke(app, ["monitor"]).exit_code == 0
    told = {"event": "alarm limits that are not the defaults", "log_level": "info", "asystole_s": 5.0}
    assert told in lines
    assert wards[0]._limits["asystole"] == 5 * RATE


@pytest.mark.parametrize("name", ["TELEBEAT_DATA_DIR", "TELEBEAT_MODEL_DIR", "TELEBEAT_CACHE_DIR"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_name_is_not_the_current_folder(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is refused of a number, too: a script has put a variable there that it does not have."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: it is empty, .*; name one or unset it"):
        load_settings()


@pytest.mark.parametrize("option", ["--data-dir", "--out", "-o", "--model"])
@pytest.mark.parametrize("words", ["{} ", "{}  ", "{}="])
def test_an_empty_path_on_the_command_line_is_none_either(option: str, words: str) -> None:
    said = CliRunner().invoke(app, ["annotate", "mitdb/100", *words.format(option).split(" ", 1)])
    assert isinstance(said.exception, SettingsError)
    assert str(said.exception).startswith(f"{option} is empty")


def test_other_empty_words_are_for_the_command_to_judge(tmp_path: Path) -> None:
    words = ["--vf-rhythms", "", "--records", ""]
    said = CliRunner().invoke(app, ["score", str(tmp_path), str(tmp_path), *words])
    assert "is empty, which" not in str(said.exception)


@pytest.mark.parametrize("name", ["TELEBEAT_SILENT_AFTER", "TELEBEAT_CHEKPOINT_S", "TELEBEAT_KAFKA_BOOTSTRAPS"])
def test_a_misspelt_setting_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "5")
    load = load_kafka if "KAFKA" in name else load_settings
    with pytest.raises(SettingsError, match=f"{name} is no setting: did you mean TELEBEAT_"):
        load()


def test_what_an_orchestrator_sets_is_no_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kubernetes does for a service called telebeat."""
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_9464_TCP", "PORT_9464_TCP_ADDR", "SERVICE_PORT_HTTP"):
        monkeypatch.setenv(f"TELEBEAT_{name}", "tcp://10.0.0.1:9464")
    assert load_settings().http_port == 9464
    assert load_kafka().group == "telebeat"


@pytest.mark.parametrize("value", ["inf", "nan", "0", "301"])
def test_silence_has_a_limit_that_can_be_reached(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEBEAT_SILENT_AFTER_S", value)
    with pytest.raises(SettingsError, match="TELEBEAT_SILENT_AFTER_S"):
        load_settings()
