"""Records analysed in several processes, whose kernels are compiled once, before any of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from model.reader import Reader
from stream.limits import Limits
from stream.pool import map_in_processes
from stream.ward import Ward
from stream.warm import compiled, warm_up

R = TypeVar("R")
T = TypeVar("T")


def map_items(
    work: Callable[[T], R],
    items: Sequence[T],
    jobs: int,
    *,
    prepare: Callable[[], object] | None = None,
    at_once: int = 1,
) -> Iterator[R]:
    """What some work makes of each item, in their order; a single process is this one.

    Parameters
    ----------
    work : callable
        A function of a module, or a `partial` of one: a process finds it by its name.
    items : sequence
    jobs : int
        Processes.
    prepare : callable, optional
        What each process does first.
    at_once : int
        Items a process is given at once.

    Raises
    ------
    ProcessError
        If a process ended by itself. What the work raises is raised here.
    """
    if min(jobs, len(items)) <= 1:
        if prepare is not None:
            prepare()
        yield from map(work, items)
        return
    if not compiled():
        warm_up(Reader.load())  # once, not in every worker
    parts = [items[first : first + at_once] for first in range(0, len(items), at_once)]
    for results in map_in_processes(partial(_each, work), parts, jobs, prepare):
        yield from results


def _each(work: Callable[[T], R], part: Sequence[T]) -> list[R]:
    return [work(item) for item in part]


def map_records(
    work: Callable[..., R], paths: Sequence[Path], model: Path | None, limits: Limits, jobs: int
) -> Iterator[R]:
    """The same for records for a ward, one in each process.

    Parameters
    ----------
    work : callable
        As for `map_items`; it is given a path, and the ward as `ward`.
    paths : sequence of Path
        Records, without extension.
    model : Path or None
        Without: the one that ships.
    limits : Limits
    jobs : int

    Raises
    ------
    ModelError
        The model cannot be read.
    """
    Reader.load(model)  # here, where a wrong one can still be told
    yield from map_items(partial(_with_ward, work), paths, jobs, prepare=partial(_prepare, model, limits))


_ward: list[Ward] = []  # the process's only one: the model is loaded once


def _prepare(model: Path | None, limits: Limits) -> None:
    reader = Reader.load(model)
    warm_up(reader)  # the compiler's time is no record's
    _ward[:] = [Ward(reader, limits)]


def _with_ward(work: Callable[..., R], path: Path) -> R:
    return work(path, ward=_ward[0])
