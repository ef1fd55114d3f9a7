"""Downloads end in whole, checked files or in an error that says what to do; a cut line only costs time."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import pytest
import tenacity
from aiohttp import web
from aiohttp.test_utils import TestServer

from replay.download import ATTEMPTS, KNOWN, Progress, fetch
from stream.errors import RecordError

NOW = tenacity.wait_none()
FILES = {
    "RECORDS": b"100\nx/200\n",
    "100.hea": b"100 1 250 4\n",
    "100.dat": random.Random(1).randbytes(700_000),
    "x/200.dat": random.Random(2).randbytes(3000),
    "empty.txt": b"",
}


class Mirror:
    """A small PhysioNet. `cut` says after how many bytes a response to a path ends, once each."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.sums = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
        self.cut: dict[str, list[int]] = {}
        self.statuses: dict[str, list[int]] = {}
        self.ranges = True
        self.mark = ""
        self.asked: list[tuple[str, str]] = []
        application = web.Application()
        application.router.add_get("/files/mitdb/1.0.0/{path:.*}", self.answer)
        self._server = TestServer(application)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def base(self) -> str:
        return str(self._server.make_url("/files"))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        asked = request.headers.get("Range", "")
        self.asked.append((path, asked))
        if self.statuses.get(path):
            return web.Response(status=self.statuses[path].pop(0))
        if path == "SHA256SUMS.txt":
            return web.Response(text=self.mark + "".join(f"{digest} {name}\n" for name, digest in self.sums.items()))
        if path not in self.files:
            return web.Response(status=404)
        data = self.files[path]
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if asked and self.ranges and first >= len(data):
            return web.Response(status=416)
        response = web.StreamResponse(status=206 if asked and self.ranges else 200)
        response.content_length = len(data) - first
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if self.cut.get(path):
            await response.write(data[first : first + self.cut[path].pop(0)])
            await asyncio.sleep(0.01)  # let the bytes leave before the connection is torn
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(data[first:])
        return response

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)


@pytest.fixture
async def mirror() -> AsyncIterator[Mirror]:
    async with Mirror() as server:
        yield server


def whole(folder: Path) -> None:
    """Assert that the folder holds the files and nothing else."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == FILES


def empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def get(mirror: Mirror, folder: Path, report: Callable[[Progress], None] = lambda _: None) -> Progress:
    target, progress = await fetch("mitdb", folder, base=mirror.base, wait=NOW, report=report)
    assert target == folder / "mitdb"
    return progress


async def test_all_files_arrive(mirror: Mirror, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    progress = await get(mirror, tmp_path / "new" / "folder", lambda p: seen.append((p.files, p.total, p.received)))
    whole(tmp_path / "new" / "folder" / "mitdb")
    assert (progress.files, progress.total) == (len(FILES), len(FILES))
    assert progress.received == sum(map(len, FILES.values()))
    assert seen == sorted(seen)


async def test_a_mark_before_the_sums_hides_no_file(mirror: Mirror, tmp_path: Path) -> None:
    mirror.mark = "\ufeff"
    await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")


async def test_what_is_there_is_not_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    await get(mirror, tmp_path)
    (tmp_path / "mitdb/100.hea").write_bytes(b"changed")
    mirror.asked.clear()
    progress = await get(mirror, tmp_path)
    assert {path for path, _ in mirror.asked} == {"SHA256SUMS.txt", "100.hea"}
    assert progress.received == len(FILES["100.hea"])
    whole(tmp_path / "mitdb")


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_cut_connection_is_resumed(mirror: Mirror, tmp_path: Path, ranges: bool) -> None:
    mirror.ranges = ranges
    mirror.cut = {"100.dat": [300_000, 100_000], "x/200.dat": [0, 1]}
    await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")
    asked = [r for path, r in mirror.asked if path == "100.dat"]
    assert len(asked) == 3
    assert asked[0] == ""
    assert all(r.startswith("bytes=") for r in asked[1:])


async def test_an_unsteady_line_gets_there(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut = {"100.dat": [50_000] * (2 * ATTEMPTS)}
    await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")


async def test_the_next_run_goes_on(mirror: Mirror, tmp_path: Path) -> None:
    part = tmp_path / "mitdb" / "100.dat.part"
    part.parent.mkdir()
    part.write_bytes(FILES["100.dat"][:500_000])
    (tmp_path / "mitdb" / "100.hea.part").write_bytes(FILES["100.hea"])  # whole, but the run ended before its move
    progress = await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")
    assert ("100.dat", "bytes=500000-") in mirror.asked
    assert progress.received == sum(map(len, FILES.values())) - 500_000 - len(FILES["100.hea"])


async def test_a_stale_part_is_thrown_away(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "100.dat.part").write_bytes(b"\0" * 500)
    (tmp_path / "mitdb" / "100.hea.part").write_bytes(b"\0" * 500)
    await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")


async def test_a_wrong_sum_leaves_nothing_in_place(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["100.dat"] = b"x" + FILES["100.dat"][1:]
    with pytest.raises(RecordError, match=r"100\.dat came with other bytes"):
        await get(mirror, tmp_path)
    assert not (tmp_path / "mitdb" / "100.dat").exists()
    assert not (tmp_path / "mitdb" / "100.dat.part").exists()
    assert mirror.times("100.dat") == 2  # once more, then it is given up


async def test_a_busy_server_is_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.statuses = {"SHA256SUMS.txt": [503], "100.hea": [429, 500, 502]}
    await get(mirror, tmp_path)
    whole(tmp_path / "mitdb")


async def test_a_dead_server_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.statuses = {"100.hea": [500] * 100}
    with pytest.raises(RecordError, match=r"100\.hea.*500.*try again later"):
        await get(mirror, tmp_path)
    assert mirror.times("100.hea") == ATTEMPTS


async def test_no_such_database(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no database nodb in version 9"):
        await fetch("nodb/9", tmp_path, base=mirror.base, wait=NOW)
    with pytest.raises(RecordError, match="--list"):
        await fetch("nodb", tmp_path, base=mirror.base, wait=NOW)
    for name in ("../mitdb/1.0.0", "mitdb/../..", "mitdb/", ".."):
        with pytest.raises(RecordError):
            await fetch(name, tmp_path / "in", base=mirror.base, wait=NOW)
    assert empty(tmp_path)


async def test_a_file_that_is_missing(mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files["100.hea"]
    with pytest.raises(RecordError, match=r"100\.hea is missing"):
        await get(mirror, tmp_path)


async def test_access_is_restricted(mirror: Mirror, tmp_path: Path) -> None:
    mirror.statuses = {"SHA256SUMS.txt": [403]}
    with pytest.raises(RecordError, match="403"):
        await get(mirror, tmp_path)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:evil", "a\\..\\evil"])
async def test_a_mirror_cannot_write_elsewhere(mirror: Mirror, tmp_path: Path, name: str) -> None:
    mirror.sums[name] = "0" * 64
    with pytest.raises(RecordError, match="outside"):
        await get(mirror, tmp_path)
    assert empty(tmp_path)


async def test_what_is_no_database(mirror: Mirror, tmp_path: Path) -> None:
    mirror.sums = {}
    with pytest.raises(RecordError, match="holds no sums"):
        await get(mirror, tmp_path)


async def test_offline(tmp_path: Path, unused_tcp_port: int) -> None:
    with pytest.raises(RecordError, match=r"cannot be fetched.*network"):
        await fetch("mitdb", tmp_path, base=f"http://127.0.0.1:{unused_tcp_port}/files", wait=NOW)


async def test_a_folder_that_cannot_be_written(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "mitdb").write_text("a file")
    with pytest.raises(RecordError, match="cannot write"):
        await get(mirror, tmp_path)


def test_the_known_databases() -> None:
    assert all(known.name == name and known.records > 0 and known.megabytes > 0 for name, known in KNOWN.items())
