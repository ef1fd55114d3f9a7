"""How telebeat compiles: one decorator for every kernel.

numba keys its on-disk cache by the file of the outermost function only, so a change in a function it calls from
another file would go unnoticed. The cache therefore lives in a folder named after all the sources, which also serves
an installation that cannot be written to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import platformdirs

F = TypeVar("F", bound=Callable[..., Any])


#: Sources without a kernel whose constants, layouts and operations kernels take over.
_CONSTANTS = ("jit.py", "lanes.py", "state.py", "types.py", "wire.py", "frames.py", "limits.py")


def _cache_folder() -> Path:
    digest = hashlib.blake2b(digest_size=8)
    root = Path(__file__).resolve().parent.parent
    for package in ("detector", "model", "stream"):
        for source in sorted((root / package).glob("**/*.py")):
            text = source.read_bytes()
            if (
                any(mark in text for mark in (b"@kernel", b"@hot", b"@whole_numbers", b"@intrinsic"))
                or source.name in _CONSTANTS
            ):
                digest.update(text)
    base = os.environ.get("TELEBEAT_CACHE_DIR") or platformdirs.user_cache_dir("telebeat")
    return Path(base) / "kernels" / digest.hexdigest()


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_folder())


def kernel(function: F) -> F:
    """Compile without the interpreter, release the GIL, keep IEEE arithmetic, remember the result on disk."""
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", _nrt=True)(function))


def hot(function: F) -> F:
    """Compile a kernel on the way of every sample.

    It makes no array of its own, returns none and keeps none, only looks at parts of what it is given, so nobody counts
    who holds them: that counting is a call for each part, and one of the dearest things a small kernel does. numba does
    not promise this option (`_nrt`) for ever; where it goes, these are kernels like the others, only slower.
    """
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", _nrt=False)(function))


def whole_numbers(function: F) -> F:
    """Compile a kernel that adds up and compares whole numbers only, below 2**24 in float32 or 2**53 in float64.

    Such sums are exact in any order, so the compiler may deal them out to the processor's lanes; nothing is NaN.
    """
    order = {"reassoc", "nnan", "nsz"}
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=order, error_model="numpy", _nrt=False)(function))
