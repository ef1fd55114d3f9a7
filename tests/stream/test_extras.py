"""What is not installed is told in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream.errors import ExtraError
from stream.extras import need


def test_what_is_there_is_passed_over() -> None:
    need("nothing", "json", "email.message", extra="none")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ExtraError, match=r"^training needs sklearn: run `pip install '\.\[train\]'` in the checkout$"):
        need("training", "json", "sklearn", extra="train")


@pytest.mark.parametrize("command", ["train", "evaluate", "heartbeats"])
def test_a_command_says_so_in_one_line(command: str) -> None:
    """In an interpreter of its own, where nothing has been imported before."""
    without = "import sys; sys.modules.update(sklearn=None, torch=None); from stream.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", without, command], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("telebeat: ")
    assert ended.stderr.endswith(" needs sklearn: run `pip install '.[train]'` in the checkout\n")
    assert ended.stdout == ""


def test_help_is_quick() -> None:
    """It waits for nothing that a command only needs when it runs."""
    heavy = "{'torch', 'sklearn', 'matplotlib', 'numba', 'numpy', 'wfdb', 'pydantic', 'aiokafka'}"
    told = f"import sys; import stream.cli; print(sorted({heavy} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
