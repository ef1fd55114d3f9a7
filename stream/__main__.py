"""Where `telebeat` begins, as `python -m stream` does: from here on no signal is lost."""

from __future__ import annotations

import sys

from stream import ending


def main() -> None:
    """Run the command line; it is loaded only now, so that an interrupt while it is loaded is not lost either."""
    sys.unraisablehook = ending.deliver_again
    from stream.cli import main as run

    run()


if __name__ == "__main__":
    main()
