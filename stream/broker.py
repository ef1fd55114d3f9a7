"""Apache Kafka itself on this machine: one node, broker and controller in one process, reached over TCP on loopback.

For the demonstration, the tests and the benchmarks; a ward runs on a real cluster. Nothing is left behind: the broker
ends with the process that started it, however that ends, and a temporary data folder goes with it::

    async with Broker() as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap)
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from stream import kafka, process_guard
from stream.broker_install import Installation, Notify, install, random_id, silent
from stream.errors import KafkaError, SettingsError
from stream.processes import POLL_S, start_guarded, tail_of, text_of
from stream.settings import KafkaSettings

if sys.platform != "win32":
    import fcntl

HOST: Final = "127.0.0.1"
READY_S: Final = 60.0  # a start takes 1 to 4 s; a busy machine with two cores may need ten times that
GRACE_S: Final = 15.0  # Kafka closes its logs within a second
TRAINING_GRACE_S: Final = 90.0  # Java writes its archive (5 s) before it ends
ANSWER_MS: Final = 2_000  # of a broker that is up; it is asked again
WATCH_S: Final = 0.2
ATTEMPTS: Final = 3  # a port that was free may be taken before Kafka has it
MIN_MEMORY_MB: Final = 96  # below this Kafka 4 runs out of heap at the start

#: Start quickly and stay small: no optimising compiler, no parallel collector, the heap grows only when needed.
JAVA_OPTIONS: Final = (
    "-Xms24m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # else Java 24 and later warn about Kafka's own use of it
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

IN_USE: Final = "another broker uses {}: stop it, or choose another --data-dir"

#: A node alone has no replicas, and groups that start at once; buffers and threads for a ward, not for a data centre.
PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.io.buffer.size=262144
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=3
background.threads=2
"""


class Broker:
    """A Kafka broker as a context manager, asynchronous or not.

    Parameters
    ----------
    port : int
        TCP port on loopback; 0 takes a free one.
    data_dir : Path, optional
        Folder that keeps topics and records between runs, made if need be; without one they are temporary.
    memory : str
        Java heap, such as ``256m`` or ``1g``. The process takes about 150 MB more than it uses of that.
    notify : callable
        Gets a line of text before each step of the first start that takes seconds.

    Attributes
    ----------
    bootstrap : str
        ``host:port`` for clients, once started.

    Raises
    ------
    SettingsError
        If `memory` cannot be read.
    KafkaError
        On entering: if the port is in use, the folder holds something else or is another broker's, Kafka cannot be
        fetched, or it does not come up; then with the end of its log.
    """

    def __init__(
        self, port: int = 0, data_dir: Path | None = None, memory: str = "256m", notify: Notify = silent
    ) -> None:
        self._port = port
        self._data_dir = None if data_dir is None else data_dir.expanduser().absolute()
        self._heap = check_memory(memory)
        self._notify = notify
        self._guard: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        self._temporary: Path | None = None
        self._training = False
        self.bootstrap = ""

    async def start(self) -> None:
        """Start the broker and return when it answers clients."""
        if self._port and not is_free(self._port):
            raise KafkaError(f"port {self._port} is in use: choose another with --port, or 0 for any free one")
        files = await _in_daemon_thread(install, self._notify)
        if not files.archive.exists() and not self._training:
            await _train(files, self._notify)
        for attempt in range(1, ATTEMPTS + 1):
            port = self._port or free_port()
            try:
                await self._launch(files, port)
            except _PortTaken as error:
                if self._port or attempt == ATTEMPTS:
                    raise KafkaError(f"port {port} was taken by another program: {error}") from None
            else:
                return

    async def stop(self) -> None:
        """Stop the broker and wait for its end; nothing happens if it is not running."""
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        guard.stdin.close()  # the guard does the rest, even if this task is cancelled here
        deadline = time.monotonic() + self._grace_s + GRACE_S
        while guard.poll() is None:
            if time.monotonic() > deadline:
                guard.kill()
            await asyncio.sleep(POLL_S)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    async def wait(self) -> None:
        """Return when the broker's process has ended, by `stop` or by itself."""
        while self.running:  # noqa: ASYNC110  # a process tells nobody of its end
            await asyncio.sleep(WATCH_S)

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def log_tail(self) -> str:
        """The last lines the broker wrote, without the places in Java's code."""
        return tail_of(self._log, leave_out=("\tat ", "\t... "))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        asyncio.run(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run(self.stop())

    @property
    def _grace_s(self) -> float:
        return TRAINING_GRACE_S if self._training else GRACE_S

    async def _launch(self, files: Installation, port: int) -> None:
        """One attempt to start Kafka on this port."""
        if self._data_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="telebeat-kafka-"))
        home = self._data_dir or self._temporary
        assert home is not None
        logs = prepare_home(home, files.template)
        if is_held(logs):  # before its settings and its log are written over
            raise KafkaError(IN_USE.format(home))
        cluster = cluster_of(logs)
        properties = home / "server.properties"
        text = PROPERTIES.format(host=HOST, port=port, controller_port=free_port(), logs=logs.as_posix())
        properties.write_text(text, encoding="utf-8")
        self._log = home / "broker.log"
        options = [f"-Xmx{self._heap}", *JAVA_OPTIONS]
        if self._training:
            options.append(f"-XX:AOTCacheOutput={files.archive_draft}")
        elif files.archive.exists():
            options += [f"-XX:AOTCache={files.archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]
        job: process_guard.Job = {
            "command": files.command(options, "kafka.Kafka", str(properties)),
            "log": str(self._log),
            "remove": None if self._temporary is None else str(home),
            "grace_s": self._grace_s,
        }
        self._guard = start_guarded(job)  # from this thread, not from one that may end
        self.bootstrap = f"{HOST}:{port}"
        try:
            await self._await_ready(port, cluster)
        except BaseException:
            await self.stop()
            raise

    async def _await_ready(self, port: int, cluster: str) -> None:
        """Wait until the broker says over Kafka's protocol that it serves; one of another cluster may have the port."""
        deadline = time.monotonic() + READY_S
        while not await _answers(port, cluster):
            if not self.running:
                raise self._failure()
            if time.monotonic() > deadline:
                raise KafkaError(f"Kafka did not come up within {READY_S:g} s; its log ends with:\n{self.log_tail}")
            await asyncio.sleep(POLL_S)

    def _failure(self) -> Exception:
        """What a start that ended early means, told from the log."""
        text = text_of(self._log)
        if "Address already in use" in text:
            return _PortTaken(self.bootstrap)
        if "Failed to acquire lock" in text:
            return KafkaError(IN_USE.format(self._data_dir))
        return KafkaError(f"Kafka ended while starting; its log ends with:\n{self.log_tail or '(empty)'}")


class _PortTaken(Exception):  # noqa: N818  # caught above, never seen
    """Kafka found its port in use."""


def check_memory(text: str) -> str:
    """The heap size as Java takes it; `SettingsError` unless it is a number of megabytes or gigabytes that suffices."""
    match = re.fullmatch(r"(\d{1,6})([mMgG])", text)
    if match is None:
        raise SettingsError(f"memory {text!r}: write megabytes or gigabytes, such as 256m or 1g")
    megabytes = int(match[1]) * (1024 if match[2] in "gG" else 1)
    if megabytes < MIN_MEMORY_MB:
        raise SettingsError(f"memory {text}: Kafka needs at least {MIN_MEMORY_MB}m")
    return f"{megabytes}m"


def prepare_home(home: Path, template: Path) -> Path:
    """Kafka's storage folder below `home`, formatted if it is new; `KafkaError` if `home` holds something else."""
    logs = home / "kafka"
    identity = logs / "meta.properties"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if identity.is_file():
            if "node.id=1\n" not in identity.read_text(encoding="utf-8").replace("\r", ""):
                raise KafkaError(f"{home} belongs to another Kafka node: choose another --data-dir")
            return logs
        if any(home.iterdir()):
            raise KafkaError(f"{home} is not empty and no broker's data folder: choose a new or an empty --data-dir")
        shutil.copytree(template, logs)
        identity.write_text(
            f"version=1\nnode.id=1\ncluster.id={random_id()}\ndirectory.id={random_id()}\n", encoding="utf-8"
        )
    except OSError as error:
        raise KafkaError(f"cannot use {home} as a data folder: {error}") from error
    return logs


def cluster_of(logs: Path) -> str:
    """The cluster's id, as Kafka's storage folder has it."""
    identity = (logs / "meta.properties").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in identity.splitlines() if "=" in line).get("cluster.id", "")


def is_held(logs: Path) -> bool:
    """Whether a Kafka runs on this storage folder: it holds a lock there, which ends with it, however it ends.

    Never on Windows, where Kafka itself refuses the folder, a little later.
    """
    if sys.platform == "win32" or not (logs / ".lock").exists():
        return False
    with (logs / ".lock").open("r+b") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kind of lock that Java takes; gone with `lock`
        except OSError:
            return True
    return False


def free_port() -> int:
    """A TCP port on loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that is only closing does not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def _in_daemon_thread(function: Callable[[Notify], Installation], notify: Notify) -> Installation:
    """Run a blocking function; unlike `asyncio.to_thread`, Ctrl-C need not wait for a download to end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Installation] = loop.create_future()

    def settle(value: Installation | None, error: Exception | None) -> None:
        if result.done():  # cancelled
            return
        if error is not None:
            result.set_exception(error)
        elif value is not None:
            result.set_result(value)

    def work() -> None:
        value, error = None, None
        try:
            value = function(notify)
        except Exception as caught:  # handed over, not hidden
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name="kafka-install", daemon=True).start()
    return await result


async def _answers(port: int, cluster: str) -> bool:
    """Whether a client gets the description of this cluster, with a broker in it."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False  # asked first, as aiokafka logs each refusal as an error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    try:
        settings = KafkaSettings(bootstrap=f"{HOST}:{port}", security_protocol="PLAINTEXT")
        async with kafka.admin(settings, request_timeout_ms=ANSWER_MS) as client:
            told = await client.describe_cluster()
            return told["cluster_id"] == cluster and bool(told["brokers"])
    except KafkaError:
        return False


async def _train(files: Installation, notify: Notify) -> None:
    """Let Java record what it loads in one start and stop; every later start reads that archive."""
    notify("recording Kafka's classes for quick starts (once)")
    broker = Broker()
    broker._training = True
    try:
        await broker._launch(files, free_port())
        await broker.stop()
        files.archive_draft.replace(files.archive)
    except (KafkaError, _PortTaken, OSError):
        pass  # a convenience: if Kafka cannot start at all, the start itself will tell
    finally:
        await broker.stop()
        files.archive_draft.unlink(missing_ok=True)
