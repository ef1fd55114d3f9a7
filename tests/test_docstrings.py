"""What documentation shows is what comes out."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("detector", "model", "replay", "stream")
    for path in sorted((ROOT / package).glob("**/*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", SHOWN)
def test_examples_say_what_comes_out(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs={})
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    "page", [p.name for p in sorted((ROOT / "docs").glob("*.md")) if ">>> " in p.read_text("utf-8")]
)
def test_examples_of_the_pages_say_what_comes_out(page: str) -> None:
    failed, tried = doctest.testfile(str(ROOT / "docs" / page), module_relative=False, encoding="utf-8")
    assert tried > 0
    assert failed == 0


def test_the_page_that_is_all_examples_is_among_them() -> None:
    assert ">>> " in (ROOT / "docs/ec57.md").read_text(encoding="utf-8")


def test_the_example_of_the_readme_runs() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = lines.index("    import numpy as np")
    last = next(i for i in range(first, len(lines)) if lines[i] and not lines[i].startswith("    "))
    names: dict[str, object] = {}
    exec("\n".join(line[4:] for line in lines[first:last]), names)
    assert names["beats"] == []
    assert len(names["epochs"]) == 10  # type: ignore[arg-type]
