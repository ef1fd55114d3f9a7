"""How telebeat compiles: one decorator for every kernel.

numba keys its on-disk cache by the file of the outermost function only, so a change in a function it calls from
another file would go unnoticed. The cache therefore lives in a folder named after all the sources, which also serves
an installation that cannot be written to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import platformdirs

F = TypeVar("F", bound=Callable[..., Any])


_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGES: Final = ("detector", "model", "stream")  # those that have kernels
_MARKS: Final = (b"@kernel", b"@hot", b"@whole_numbers", b"@intrinsic")
_IMPORT: Final = re.compile(rb"^\s*(?:from (\S+) import ([^\n(]+|\([^)]*\))|import (\S+))", re.MULTILINE)


def _imported(text: bytes) -> Iterator[Path]:
    """Sources of ours that a source imports, anywhere in it: kernels take over their constants, layouts, operations."""
    for module, names, whole in _IMPORT.findall(text):
        for dotted in (whole or module, *(module + b"." + name for name in re.findall(rb"\w+", names))):
            path = _ROOT / dotted.decode().replace(".", "/")
            yield from (source for source in (path.with_suffix(".py"), path / "__init__.py") if source.is_file())


def reached(sources: Iterable[Path]) -> set[Path]:
    """These sources of ours and, over and over, those that they import."""
    found = set(sources)
    waiting = list(found)
    while waiting:
        new = set(_imported(waiting.pop().read_bytes())) - found
        found |= new
        waiting += new
    return found


def sources() -> list[Path]:
    """Every source with a kernel and all that they import."""
    ours = [source for package in _PACKAGES for source in (_ROOT / package).glob("**/*.py")]
    return sorted(reached(source for source in ours if any(mark in source.read_bytes() for mark in _MARKS)))


def _cache_folder() -> Path:
    digest = hashlib.blake2b(digest_size=8)
    for source in sources():
        digest.update(source.read_bytes())
    base = os.environ.get("TELEBEAT_CACHE_DIR") or platformdirs.user_cache_dir("telebeat")
    return Path(base) / "kernels" / digest.hexdigest()


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_folder())


def kernel(function: F) -> F:
    """Compile without the interpreter, release the GIL, keep IEEE arithmetic, remember the result on disk."""
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", _nrt=True)(function))


def hot(function: F) -> F:
    """Compile a kernel on the way of every sample.

    It creates, returns and stores no array, only takes slices of what it is given. So it is compiled without reference
    counting, which would cost a call for each slice, one of the dearest things a small kernel does. numba does not
    promise this option (`_nrt`) for ever; where it goes, these are kernels like the others, only slower.
    """
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", _nrt=False)(function))


def whole_numbers(function: F) -> F:
    """Compile a kernel that adds up and compares whole numbers only, below 2**24 in float32 or 2**53 in float64.

    Such sums are exact in any order, so the compiler may deal them out to the processor's lanes; nothing is NaN.
    """
    order = {"reassoc", "nnan", "nsz"}
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=order, error_model="numpy", _nrt=False)(function))
