"""How a command ends that is told to by a signal: unwound, so that it writes what it has and ends what it started.

Ctrl-C raises `KeyboardInterrupt`, and SIGTERM here `Terminated`, wherever the program is. Where that is a callback of
the import system or a finalizer, Python prints and drops it, and the command would go on as if nobody had told it.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S: Final = 0.05  # until a lost signal is delivered again: the callback has returned by then

_told = threading.Event()
_lost: list[signal.Signals] = []  # dropped by Python, and not delivered again yet


class Terminated(SystemExit):
    """SIGTERM has come; the exit status is what a shell says of a program that the signal has ended."""


def exit_on_sigterm() -> None:
    """Let the first SIGTERM raise `Terminated` in the main thread from now on; more of them change nothing.

    `timeout` and others send two. By itself the signal ends a process before it can clear up, but not the first one of
    a container, which the kernel keeps from signals nobody asked for.
    """
    signal.signal(signal.SIGTERM, _terminate)


def deliver_again(lost: UnraisableHookArgs) -> None:
    """Answer what nobody could catch, as `sys.unraisablehook`: a signal comes again, all else is printed as ever."""
    if lost.exc_type is not None and issubclass(lost.exc_type, (KeyboardInterrupt, Terminated)):
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        _lost.append(number)
        timer = threading.Timer(AGAIN_S, _send, (number,))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(lost)


def lost() -> int | None:
    """The exit status for a signal that Python has dropped just now: what it was dropped in may fail because of it."""
    return 128 + _lost[0] if _lost else None


def _terminate(number: int, _: Any) -> None:
    if not _told.is_set():
        _told.set()
        raise Terminated(128 + number)


def _send(number: signal.Signals) -> None:
    """Signal the main thread, whatever it waits for."""
    _told.clear()
    _lost.clear()
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
