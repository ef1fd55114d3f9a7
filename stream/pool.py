"""Work in a few processes that take items in turn, and of which none outlives the one that started them.

Each has a pipe of its own and shares nothing with the others, so that they can be ended at any moment without one
waiting for what another held. Ctrl-C is the parent's alone to answer: it ends them. If it is killed, they see it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any, Final, TypeVar

from stream.ending import Terminated, exit_on_sigterm, put_off, status_of
from stream.errors import ProcessError

R = TypeVar("R")
T = TypeVar("T")

GRACE_S: Final = 2.0  # from SIGTERM to SIGKILL: a worker has a temporary folder to remove, no more
LOOK_S: Final = 0.5  # a signal that comes just before the system is asked to wait is answered after the wait


def map_in_processes(
    work: Callable[[T], R], items: Sequence[T], jobs: int, prepare: Callable[[], object] | None = None
) -> Iterator[R]:
    """What some work makes of each item, in their order; the arguments are those of `stream.workers.map_items`.

    Raises
    ------
    ProcessError
        If a process ended by itself. What the work raises is raised here.
    """
    todo = iter(enumerate(items))
    with _workers(min(jobs, len(items)), work, prepare) as pipes:
        busy: dict[Any, int] = {}
        done: dict[int, R] = {}

        def feed(idle: Iterable[Any]) -> None:
            for pipe, (number, item) in zip(idle, todo, strict=False):
                busy[pipe] = number
                _sent(pipe, pipes[pipe], item)

        feed(pipes)
        for number in range(len(items)):
            while number not in done:
                idle = connection.wait(list(busy), LOOK_S)
                for pipe in idle:
                    done[busy.pop(pipe)] = _received(pipe, pipes[pipe])
                feed(idle)
            yield done.pop(number)


def _sent(pipe: Any, process: SpawnProcess, what: Any) -> None:
    """Give a process its next item."""
    try:
        pipe.send(what)
    except OSError:
        raise _ended(process) from None


def _received(pipe: Any, process: SpawnProcess) -> Any:
    """What a process has made of its item; what it raised is raised."""
    try:
        result, problem = pipe.recv()
    except (EOFError, OSError):
        raise _ended(process) from None
    if problem is not None:
        raise problem
    return result


def _ended(process: SpawnProcess) -> ProcessError:
    process.join(GRACE_S)
    return ProcessError(
        f"a process that worked on a part of it ended by itself (status {process.exitcode}); if it was short of "
        "memory, run it again with fewer --jobs"
    )


@contextlib.contextmanager
def _workers(
    jobs: int, work: Callable[..., Any], prepare: Callable[[], object] | None
) -> Iterator[dict[Any, SpawnProcess]]:
    """Processes by the pipes to them; at the end, however it comes, there are none."""
    # A fresh interpreter for each: numba's threads and a forked process do not go together.
    context = multiprocessing.get_context("spawn")
    pipes: dict[Any, SpawnProcess] = {}
    try:
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            with put_off(), _without_interrupts():  # one that is started by half would complain
                process.start()
                pipes[ours] = process
            theirs.close()
        for pipe, process in pipes.items():
            _sent(pipe, process, (work, prepare))
        yield pipes
    finally:
        for process in pipes.values():
            process.terminate()
        for pipe, process in pipes.items():
            process.join(GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Put Ctrl-C off; a process that is started meanwhile never hears of it, not even while it is loaded."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would end this
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Any) -> None:
    """In a process: items in, what becomes of them out, until it is told to end."""
    try:
        _work(pipe)
    except Terminated as error:
        sys.exit(status_of(error))


def _work(pipe: Any) -> None:
    threading.Thread(target=_watch_parent, daemon=True).start()
    problem: Exception | None = None
    work, prepare = pipe.recv()  # only now is loaded what they need
    try:
        if prepare is not None:
            prepare()
    except Exception as error:
        problem = _portable(error)
    exit_on_sigterm()  # from here on there may be something to clear up
    while True:
        item = pipe.recv()
        result, failed = None, problem
        if failed is None:
            try:
                result = work(item)
            except Exception as error:
                failed = _portable(error)
        pipe.send((result, failed))


def _watch_parent() -> None:
    """End this process with the one that started it, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """An error that another process can read, with where it was raised as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # one whose class takes other arguments than it keeps
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
