"""The first run ever says what it waits for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from model.reader import Reader
from stream import warm


@pytest.mark.parametrize("kept", [True, False])
def test_it_is_told_until_the_kernels_are_kept(tmp_path: Path, kept: bool) -> None:
    (tmp_path / "bed.detect-166.py311.nbi").touch()
    if kept:
        (tmp_path / "bed.judge-185.py311.nbi").touch()
    said: list[str] = []
    warm.announce_compilation(
        said.append, SimpleNamespace(__name__="judge", stats=SimpleNamespace(cache_path=str(tmp_path)))
    )
    assert said == ([] if kept else ["compiling the kernels, once: about a minute"])


def test_a_run_keeps_what_is_asked_about() -> None:
    warm.warm_up(Reader.load())
    assert warm.compiled()
    warm.announce_compilation(pytest.fail)
