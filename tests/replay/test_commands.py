"""`telebeat replay` and `telebeat download` as they are typed."""

from __future__ import annotations

import asyncio
import collections
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner, Result

from replay.download import KNOWN
from replay.script import builtin
from stream import topics
from stream.cli import app
from stream.errors import RecordError, SettingsError
from stream.frames import Frame, decode
from stream.settings import KafkaSettings
from tests.replay.test_download import FILES, Mirror
from tests.replay.test_player import read


def telebeat(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten records of two seconds: `mitdb/0` to `mitdb/8` and `other/a`."""
    for place in [*(f"mitdb/{i}" for i in range(9)), "other/a"]:
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        wfdb.wrsamp(
            path.name, 200, ["mV"], ["II"], d_signal=np.zeros((400, 1), dtype=np.int64), fmt=["16"],
            adc_gain=[200], baseline=[0], write_dir=str(path.parent),
        )  # fmt: skip
    return tmp_path


@pytest.fixture
def cluster(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """A real Kafka with topics, which commands are pointed at."""
    monkeypatch.setenv("TELEBEAT_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("TELEBEAT_KAFKA_TOPIC_PREFIX", kafka.topic_prefix)
    asyncio.run(topics.create(kafka))
    return kafka


def played(cluster: KafkaSettings) -> dict[str, list[Frame]]:
    beds: dict[str, list[Frame]] = collections.defaultdict(list)
    for _, _, value in asyncio.run(read(cluster)):
        frame = decode(value)
        beds[frame.bed].append(frame)
    return dict(beds)


def test_several_records(cluster: KafkaSettings, folder: Path) -> None:
    result = telebeat("replay", "--data-dir", folder, "--records", "3", "other/a", "1,2", "--speed", "max")
    assert "44 frames (44 confirmed)" in " ".join(result.stderr.split())  # of 2 s each, and 0.6 s held
    assert {bed: len(cut) for bed, cut in played(cluster).items()} == dict.fromkeys(["3", "a", "1", "2"], 11)


def test_without_wishes(cluster: KafkaSettings, folder: Path) -> None:
    telebeat("replay", "--data-dir", folder, "--speed", "max", "--clock", "record", "--bed-prefix", "w1-")
    beds = played(cluster)
    assert sorted(beds) == [f"w1-{i}" for i in range(8)]
    assert {cut[0].device_time_us for cut in beds.values()} == {0}


def test_more_beds_than_records(cluster: KafkaSettings, folder: Path) -> None:
    telebeat(
        "replay", "a", "--data-dir", folder, "--beds", "3", "--from", "1", "--speed", "max", "--fault", "duplicate@0s"
    )
    beds = played(cluster)
    assert sorted(beds) == ["a-1", "a-2", "a-3"]
    assert all([f.first_sample for f in cut] == [200, 200, *range(250, 501, 50)] for cut in beds.values())


def test_scripted_patients(cluster: KafkaSettings, tmp_path: Path) -> None:
    name = builtin()[0]
    file = tmp_path / "own.ecg"
    file.write_text('patient "own" rate 250 Hz leads II V1\nsinus 60 for 10 s\n')
    telebeat("replay", "--script", file, "--script", name, "--speed", "max")
    beds = played(cluster)
    assert len(beds) == 2
    assert sum(f.instants for f in beds["own"]) == 2500 + 150


@pytest.mark.parametrize(
    "wrong", [("--speed", "0"), ("--clock", "sun"), ("--fault", "flood=1"), ("--frame-ms", "2000"), ("--from", "99")]
)
def test_wrong_options(folder: Path, wrong: tuple[str, str]) -> None:
    with pytest.raises((SettingsError, RecordError)):
        telebeat("replay", "a", "--data-dir", folder, *wrong)


def test_no_records(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="telebeat download"):
        telebeat("replay", "--data-dir", tmp_path)


def test_list() -> None:
    shown = telebeat("download", "--list").stdout
    assert all(name in shown for name in KNOWN)


async def test_download(tmp_path: Path) -> None:
    async with Mirror() as mirror:
        result = await asyncio.to_thread(telebeat, "download", "mitdb", "--data-dir", tmp_path, "--from", mirror.base)
    assert f"{len(FILES)} files" in result.stderr
    assert (tmp_path / "mitdb" / "100.dat").read_bytes() == FILES["100.dat"]


def test_download_what() -> None:
    with pytest.raises(SettingsError, match="--list"):
        telebeat("download")
