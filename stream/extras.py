"""Packages that only some commands need: whoever has not installed them is told before any work how to."""

from __future__ import annotations

import importlib

from stream.errors import ExtraError


def need(what: str, *modules: str, extra: str) -> None:
    """Try that modules can be imported.

    Parameters
    ----------
    what : str
        What needs them, for the message.
    *modules : str
    extra : str
        The extra of telebeat that brings them.

    Raises
    ------
    ExtraError
        If one of them is not installed, or something that it needs.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ExtraError(
                f"{what} needs {error.name or module}: run `pip install '.[{extra}]'` in the checkout"
            ) from error
