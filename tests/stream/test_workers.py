"""Work on many records in several processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from operator import neg
from pathlib import Path
from typing import Any

import pytest

from stream import workers
from stream.errors import FrameError, ModelError, ProcessError
from stream.limits import Limits
from stream.pool import map_in_processes


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_order_is_that_of_the_items(jobs: int, at_once: int) -> None:
    assert list(workers.map_items(neg, range(7), jobs, at_once=at_once)) == [-i for i in range(7)]
    assert list(workers.map_items(neg, [], jobs, at_once=at_once)) == []


def test_what_the_work_raises_is_raised_here_with_where() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        list(map_in_processes(int, ["7", "seven"], 2))
    assert "in _work" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="FrameError: crc"):  # its class takes two arguments and keeps one
        list(map_in_processes(refuse, [1, 2], 2))
    with pytest.raises(ValueError, match="cannot begin"):
        list(map_in_processes(neg, [1, 2], 2, prepare=cannot_begin))


def refuse(_: int) -> None:
    raise FrameError("crc", "it is wrong")


def cannot_begin() -> None:
    raise ValueError("cannot begin")


def test_a_process_that_ends_by_itself_is_told() -> None:
    with pytest.raises(ProcessError, match=r"status 3\).*fewer --jobs"):
        list(map_in_processes(os._exit, [3, 3], 2))
    assert not multiprocessing.active_children()


def test_whoever_wants_no_more_leaves_no_process_behind() -> None:
    some = map_in_processes(time.sleep, [0.0, 600.0, 600.0], 2)
    assert next(some) is None
    some.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def in_none(work: Any, items: Any, jobs: int, _: Any) -> Iterator[Any]:
    """Processes that are none."""
    said.append(f"{jobs} processes")
    return map(work, items)


said: list[str] = []


@pytest.mark.parametrize("kept", [True, False])
def test_kernels_are_compiled_before_there_are_processes(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said.clear()
    monkeypatch.setattr(workers, "map_in_processes", in_none)
    monkeypatch.setattr(workers, "compiled", lambda: kept)
    monkeypatch.setattr(workers, "warm_up", lambda _: said.append("compiled"))
    assert list(workers.map_items(neg, range(3), 2)) == [0, -1, -2]
    assert said == (["2 processes"] if kept else ["compiled", "2 processes"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_wrong_model_is_told_before_there_are_processes(jobs: int, tmp_path: Path) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    with pytest.raises(ModelError):
        list(workers.map_records(print, paths, tmp_path / "nowhere", Limits(), jobs))
