"""Where `telebeat` begins, as `python -m stream` does: an interrupt that Python loses is delivered again.

Ctrl-C raises `KeyboardInterrupt` wherever the program is. Where that is a callback of the import system or a finalizer,
Python prints and drops it, and the command would go on as if nothing had been pressed.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S: Final = 0.05  # until it is delivered again: the callback has returned by then


def _interrupt() -> None:
    """Interrupt the main thread as Ctrl-C does, whatever it waits for."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _deliver_again(lost: UnraisableHookArgs) -> None:
    """Answer what nobody could catch: an interrupt comes again, all else is printed as ever."""
    if lost.exc_type is KeyboardInterrupt:
        timer = threading.Timer(AGAIN_S, _interrupt)
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(lost)


def main() -> None:
    """Run the command line; it is loaded only now, so that an interrupt while it is loaded is not lost either."""
    sys.unraisablehook = _deliver_again
    from stream.cli import main as run

    run()


if __name__ == "__main__":
    main()
