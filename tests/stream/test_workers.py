"""Work on many records in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from operator import neg
from pathlib import Path
from typing import Any, Self

import pytest

from stream import workers
from stream.errors import ModelError
from stream.limits import Limits


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_order_is_that_of_the_items(jobs: int) -> None:
    assert list(workers.map_items(neg, range(7), jobs)) == [-i for i in range(7)]
    assert list(workers.map_items(neg, [], jobs)) == []


class Pool:
    """Processes that are none."""

    def __init__(self, jobs: int, *_: Any, **__: Any) -> None:
        said.append(f"{jobs} processes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Any, items: Any, *, chunksize: int) -> Iterator[Any]:
        return map(work, items)


said: list[str] = []


@pytest.mark.parametrize("kept", [True, False])
def test_kernels_are_compiled_before_there_are_processes(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said.clear()
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(workers, "compiled", lambda: kept)
    monkeypatch.setattr(workers, "warm_up", lambda _: said.append("compiled"))
    assert list(workers.map_items(neg, range(3), 2)) == [0, -1, -2]
    assert said == (["2 processes"] if kept else ["compiled", "2 processes"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_wrong_model_is_told_before_there_are_processes(jobs: int, tmp_path: Path) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    with pytest.raises(ModelError):
        list(workers.map_records(print, paths, tmp_path / "nowhere", Limits(), jobs))
