"""The page of all modules, `docs/modules.md`, made of their own first lines: `python -m tests.deploy.modules`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "modules.md"
PACKAGES: Final = {
    "detector": "samples → R peaks, the leads' quality, fibrillation, measurements: kernels over one bed's row",
    "model": "R peaks → words → classes: the language, its training, and how it is judged",
    "stream": "Kafka ↔ analysis: frames, beds, rules and alerts, snapshots, metrics, commands, reports",
    "replay": "records and scripted patients → frames, at any pace, with faults on request",
    "benchmarks": "measurements whose results are in `benchmarks/results`, and the fits of the detector's constants",
}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    """Dotted name and syntax tree of each module with anything in it."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text("utf-8"))


def imported(tree: ast.Module) -> set[str]:
    """Modules of ours that a module imports, wherever it does."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def page() -> str:
    """The page."""
    lines = [
        "# All modules",
        "",
        "Made of their first lines by `python -m tests.deploy.modules`; not to be edited.",
        "",
    ]
    for package, about in PACKAGES.items():
        lines += [f"## {package}", "", f"{about}.", "", "| module | |", "|---|---|"]
        for name, tree in modules(package):
            first = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
            lines.append(f"| `{name.removeprefix(f'{package}.')}` | {first.replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
