"""How a command ends that is told to by a signal: unwound, so that it writes what it has and ends what it started.

Ctrl-C raises `KeyboardInterrupt`, and SIGTERM here `Terminated`, wherever the program is. Where that is a callback of
the import system or a finalizer, Python prints and drops it, and the command would go on as if nobody had told it; its
compiler drops all but `KeyboardInterrupt` without a word, and elsewhere another error is made of it.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S: Final = 0.05  # until a lost signal is delivered again: the callback has returned by then
SAME_S: Final = (
    2.0  # so soon after one that was answered a signal is the same one told twice: terminals and `timeout` do
)

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)

_told = threading.Event()
_program = threading.Event()  # this process is the command and nothing else
_lost: list[signal.Signals] = []  # dropped by Python, and not delivered again yet


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


def as_program() -> None:
    """Answer signals as a process that is a command and nothing else, up to its last moment.

    Python gives its handlers back to the system before all is torn down. A second Ctrl-C then would end the process by
    itself, and its status would be another than that of the first.
    """
    _program.set()
    exit_on_sigterm()
    atexit.register(_ignore)  # the first that is registered is the last to be called


def answered() -> None:
    """Let no signal change the end that has begun; one that comes much later ends the process at once.

    Nothing where it is no program of its own.
    """
    if not _program.is_set():
        return
    until = time.monotonic() + SAME_S

    def again(number: int, _: Any) -> None:
        if time.monotonic() > until:  # whatever it still waits for
            os._exit(128 + number)

    while True:
        try:
            for number in _NUMBERS:
                signal.signal(number, again)
        except KeyboardInterrupt:  # it came just before it would have changed nothing
            continue
        return


def _ignore() -> None:
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def exit_on_sigterm() -> None:
    """Let the first SIGTERM raise `Terminated` in the main thread from now on; more of them change nothing.

    `timeout` and others send two. By itself the signal ends a process before it can clear up, but not the first one of
    a container, which the kernel keeps from signals nobody asked for.
    """
    signal.signal(signal.SIGTERM, _terminate)


def deliver_again(lost: UnraisableHookArgs) -> None:
    """Answer what nobody could catch, as `sys.unraisablehook`: a signal comes again, all else is printed as ever."""
    if lost.exc_type is not None and issubclass(lost.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        _lost.append(number)
        timer = threading.Timer(AGAIN_S, _send, (number,))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(lost)


def status_of(error: BaseException) -> int | None:
    """The exit status, as a shell has it, where a signal is what a command ended by; None where it is not.

    Another error may have been made of it, or be one of what it was dropped in just now.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return 128 + (signal.SIGTERM if isinstance(cause, Terminated) else signal.SIGINT)
        cause = cause.__cause__ or cause.__context__
    return 128 + _lost[0] if _lost else None


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM come only at the end: what is done here is short and shall be done wholly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda told, _: came.append(told)) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came:
        signal.raise_signal(came[0])


def _terminate(*_: Any) -> None:
    if not _told.is_set():
        _told.set()
        raise Terminated


def _send(number: signal.Signals) -> None:
    """Signal the main thread, whatever it waits for."""
    _told.clear()
    _lost.clear()
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
