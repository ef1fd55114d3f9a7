"""No vector of the detector lies beyond the field it was taken from, whatever is played."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

from detector import simd, simd_int
from tests.detector.checked_kernels import CHECKED

RATES = ("100", "128", "128.3", "250", "257.001", "333.333", "360", "500", "977", "1000")


def test_every_access_is_within_its_field() -> None:
    command = [sys.executable, "-m", "tests.detector.checked_kernels", *RATES]
    plain = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert told.returncode == 0, told.stderr[-1500:]
    found = {rate: int(peaks) for rate, peaks in (line.split() for line in told.stdout.splitlines())}
    assert found.keys() == set(RATES)
    assert sum(found.values()) > 20


def test_every_vector_that_takes_an_array_is_checked() -> None:
    for module in (simd, simd_int):
        taking = set(
            re.findall(r"^def (\w+)\(typingctx: Any, (?:array|a: Any, at)", inspect.getsource(module), re.MULTILINE)
        )
        assert taking
        assert taking <= CHECKED[module].keys()
