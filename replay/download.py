"""PhysioNet databases, fetched file by file, each checked against the database's own SHA-256 sums.

A file is written beside its place as ``NAME.part`` and moved there when its sum is right: what is in its place is
whole. A download that was cut off goes on where it stopped, in the same run or the next; files already there are
only checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

import aiohttp
import tenacity
from tenacity.wait import wait_base

from stream.errors import RecordError

PHYSIONET: Final = "https://physionet.org/files"
PARALLEL: Final = 4  # connections: enough to fill a line with small files, few enough to be a polite guest
ATTEMPTS: Final = 6  # without a byte of progress, before a file is given up
IDLE_S: Final = 30.0  # without a byte on an open connection, it counts as cut
CHUNK: Final = 256 * 1024
BACKOFF: Final = tenacity.wait_random_exponential(multiplier=0.5, max=20)


@dataclasses.dataclass(frozen=True)
class Database:
    """A PhysioNet database: its name and version, how many records it has, about how large it is, what it is."""

    name: str
    version: str
    records: int
    megabytes: int
    about: str


#: Electrocardiograms on PhysioNet with open access that telebeat reads; sizes are those of the signals, rounded.
KNOWN: Final = {
    database.name: database
    for database in (
        Database("mitdb", "1.0.0", 48, 100, "MIT-BIH Arrhythmia: 2 leads, 30 min, beats and rhythms"),
        Database("svdb", "1.0.0", 78, 60, "MIT-BIH Supraventricular Arrhythmia: 2 leads, 30 min, beats"),
        Database("nstdb", "1.0.0", 15, 30, "MIT-BIH Noise Stress Test: noise, and ECG with noise added"),
        Database("vfdb", "1.0.0", 22, 40, "MIT-BIH Malignant Ventricular Ectopy: 2 leads, 35 min, rhythms"),
        Database("cudb", "1.0.0", 35, 10, "Creighton University Ventricular Tachyarrhythmia: 1 lead, 8 min"),
        Database("afdb", "1.0.0", 25, 600, "MIT-BIH Atrial Fibrillation: 2 leads, 10 h, rhythms (23 with signals)"),
        Database("afpdb", "1.0.0", 300, 130, "PAF Prediction Challenge 2001: 2 leads, 30 min and 5 min"),
        Database("ltafdb", "1.0.0", 84, 3600, "Long-Term AF: 2 leads, 24 h, beats and rhythms"),
        Database("edb", "1.0.0", 90, 490, "European ST-T: 2 leads, 2 h, beats, ST and T changes"),
        Database("ltstdb", "1.0.0", 86, 6400, "Long-Term ST: 2 or 3 leads, 24 h, beats, ST episodes"),
        Database("stdb", "1.0.0", 28, 45, "MIT-BIH ST Change: 2 leads, exercise tests, beats"),
        Database("nsrdb", "1.0.0", 18, 600, "MIT-BIH Normal Sinus Rhythm: 2 leads, 24 h, beats"),
        Database("sddb", "1.0.0", 23, 800, "Sudden Cardiac Death Holter: 2 leads, up to 24 h"),
        Database("incartdb", "1.0.0", 75, 830, "St Petersburg INCART: 12 leads, 30 min, beats"),
        Database("qtdb", "1.0.0", 105, 80, "QT: 2 leads, 15 min, waves delineated"),
        Database("ludb", "1.0.1", 200, 30, "Lobachevsky University: 12 leads, 10 s, waves delineated per lead"),
        Database("ptbdb", "1.0.0", 549, 1800, "PTB Diagnostic: 15 leads, 1000 Hz, 2 min, infarctions and controls"),
        Database("challenge-2015", "1.0.0", 750, 700, "Bedside alarms, true and false: 5 min before each"),
        Database("challenge-2017", "1.0.0", 8528, 1500, "AF from a short strip: 1 lead, 9 to 60 s"),
        Database("cpsc2021", "1.0.0", 1425, 900, "Paroxysmal AF, dynamic ECG: 2 leads, beats and AF episodes"),
    )
}


@dataclasses.dataclass
class Progress:
    """How far a download is: files whole and in all, bytes received in this run, and the file that came last."""

    files: int = 0
    total: int = 0
    received: int = 0
    name: str = ""


class _TryAgainError(Exception):
    """Something that may go better the next time."""


class _ChangedError(_TryAgainError):
    """The file came whole with a wrong sum."""


async def fetch(
    database: str,
    folder: Path,
    *,
    base: str = PHYSIONET,
    report: Callable[[Progress], None] = lambda _: None,
    wait: wait_base = BACKOFF,
) -> tuple[Path, Progress]:
    """Fetch all files of a database into `folder`/`database`.

    Parameters
    ----------
    database : str
        Name of `KNOWN`, or any other of PhysioNet's as ``NAME/VERSION``.
    folder : Path
        Folder of databases; made where it is missing.
    base : str
        Where the databases are; a mirror has the same layout.
    report : callable
        Told the progress, always the same object.
    wait
        Time between two attempts at a file.

    Returns
    -------
    Path, Progress
        The folder of the database, and how much was fetched.

    Raises
    ------
    RecordError
        If there is no such database, the network or the disk fails, or a sum stays wrong. What is whole is kept.
    """
    name, version = _resolve(database)
    url = f"{base.rstrip('/')}/{name}/{version}"
    target = folder / name
    timeout = aiohttp.ClientTimeout(total=None, connect=IDLE_S, sock_read=IDLE_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True, auto_decompress=False) as session:
        sums = await _sums(session, url, name, version, wait)
        progress = Progress(total=len(sums))
        slots = asyncio.Semaphore(PARALLEL)

        async def one(file: PurePosixPath, digest: str) -> None:
            async with slots:
                await _file(session, f"{url}/{file}", target / file, digest, progress, report, wait=wait)
            progress.files += 1
            progress.name = str(file)
            report(progress)

        try:
            async with asyncio.TaskGroup() as group:
                for file, digest in sums.items():
                    group.create_task(one(file, digest))
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]  # the one that made the group cancel the others
            if isinstance(error, OSError):
                raise RecordError(f"cannot write into {target} ({error}); name another folder (--data-dir)") from error
            raise error from None
    return target, progress


def _resolve(database: str) -> tuple[str, str]:
    if match := re.fullmatch(r"([\w-]+)/([\w.-]+)", database):
        return match[1], match[2]
    if database in KNOWN:
        return database, KNOWN[database].version
    raise RecordError(
        f"no database {database}; `telebeat download --list` shows the known ones, any other of PhysioNet's is had "
        "as NAME/VERSION"
    )


async def _sums(
    session: aiohttp.ClientSession, url: str, name: str, version: str, wait: wait_base
) -> dict[PurePosixPath, str]:
    """SHA-256 of every file of the database."""
    text = ""
    async for attempt in _attempts(wait):
        with attempt, _network(url):
            async with session.get(f"{url}/SHA256SUMS.txt") as response:
                if response.status == 404:
                    raise RecordError(f"there is no database {name} in version {version} at {url}; check both names")
                _require(response, {200})
                text = await response.text()
    sums: dict[PurePosixPath, str] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})\s+\*?(\S.*)", line.strip())
        if match is None:
            continue
        file = PurePosixPath(match[2])
        if file.is_absolute() or ".." in file.parts or "\\" in match[2] or ":" in match[2]:
            raise RecordError(f"{url}/SHA256SUMS.txt names {match[2]}, outside of the database; do not use this mirror")
        sums[file] = match[1]
    if not sums:
        raise RecordError(f"{url}/SHA256SUMS.txt holds no sums; this is not a PhysioNet database or its mirror")
    return sums


async def _file(
    session: aiohttp.ClientSession,
    url: str,
    target: Path,
    digest: str,
    progress: Progress,
    report: Callable[[Progress], None],
    *,
    wait: wait_base,
) -> None:
    """One file in its place with the right sum, whatever of it was there before."""
    if await asyncio.to_thread(_is_whole, target, digest):
        return
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    furthest = _size(part)
    async for attempt in _attempts(wait):
        with attempt, _network(url):
            await _continue(session, url, part, digest, progress, report)
        if (size := _size(part)) > furthest:  # an unsteady line that yet brings the file forward is not given up
            furthest = size
            attempt.retry_state.attempt_number = 1
    part.replace(target)


async def _continue(
    session: aiohttp.ClientSession,
    url: str,
    part: Path,
    digest: str,
    progress: Progress,
    report: Callable[[Progress], None],
) -> None:
    """The rest of a partial file; it is removed when its sum turns out wrong."""
    have = _size(part)
    async with session.get(url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
        if response.status == 404:
            raise RecordError(f"{url} is missing though its sum is listed; try later or another mirror (--from)")
        _require(response, {200, 206, 416} if have else {200})
        ranged = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not ranged:
            _remove(part)
            raise _TryAgainError("the server sent another part of the file than was asked for")
        keep = response.status != 200  # 416: nothing comes after what is here
        running = await asyncio.to_thread(_hash, part) if keep else hashlib.sha256()
        if response.status != 416:
            with part.open("ab" if keep else "wb") as file:
                async for chunk in response.content.iter_chunked(CHUNK):
                    file.write(chunk)
                    running.update(chunk)
                    progress.received += len(chunk)
                    report(progress)
    if running.hexdigest() != digest:
        _remove(part)
        raise _ChangedError(f"its SHA-256 is {running.hexdigest()[:16]}… instead of {digest[:16]}…")


def _is_whole(file: Path, digest: str) -> bool:
    return file.is_file() and _hash(file).hexdigest() == digest


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _hash(file: Path) -> Any:
    """SHA-256 of a file so far; of nothing, where there is none."""
    running = hashlib.sha256()
    if not file.is_file():
        return running
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            running.update(chunk)
    return running


def _attempts(wait: wait_base) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(_TryAgainError),
        stop=_enough,
        wait=wait,
        retry_error_callback=_give_up,
    )


def _enough(state: tenacity.RetryCallState) -> bool:
    """A wrong sum is tried once more, as a stale partial file may be the cause; a network again and again."""
    changed = state.outcome is not None and isinstance(state.outcome.exception(), _ChangedError)
    return state.attempt_number >= (2 if changed else ATTEMPTS)


def _give_up(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    raise RecordError(str(error)) from error


@contextlib.contextmanager
def _network(url: str) -> Any:
    """Tell what may go better the next time from what will not."""
    try:
        yield
    except _ChangedError as error:
        raise _ChangedError(
            f"{url} came with other bytes than its database lists ({error}); what lies between may change it: "
            "try another line or mirror (--from)"
        ) from error
    except _TryAgainError as error:
        raise _TryAgainError(f"{url}: {error}; try again later, it goes on where it stopped") from error
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise _TryAgainError(
            f"{url} cannot be fetched ({str(error) or type(error).__name__}); check the network or HTTPS_PROXY and run "
            "the command again, it goes on where it stopped; or copy the records into a folder"
            " and name it with --data-dir"
        ) from error


def _require(response: aiohttp.ClientResponse, statuses: set[int]) -> None:
    if response.status in statuses:
        return
    if response.status in {408, 425, 429} or response.status >= 500:
        raise _TryAgainError(f"the server answers {response.status} {response.reason}")
    raise RecordError(f"{response.url}: the server answers {response.status} {response.reason}; is access restricted?")
