"""Same bytes through Kafka, speed of `annotate`, 64 beds: `make bench`, `python -m benchmarks.figures [NAME ...]`.

Each benchmark is a process of its own and writes ``benchmarks/results/NAME.json``; from these files, and nothing else,
``benchmarks/results/README.md`` is made. About ten minutes on two cores that have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks import parts

RESULTS: Final = parts.ROOT / "benchmarks" / "results"
STAGES: Final = ("p50", "p90", "p99", "max")
HEADINGS: Final = {
    "qrs_se": "QRS Se", "qrs_ppv": "QRS +P", "veb_se": "VEB Se",
    "veb_ppv": "VEB +P", "sveb_se": "SVEB Se", "sveb_ppv": "SVEB +P",
}  # fmt: skip


def same_bytes(figures: dict[str, Any]) -> list[str]:
    """What `benchmarks.same_bytes` found, as Markdown."""
    names = ", ".join(figures["records"])
    sizes = ", ".join(f"`{name}` {size} bytes" for name, size in figures["bytes"].items())
    verdict = "**equal**, byte for byte" if not figures["differences"] else "**not equal**"
    return [
        "## The monitor over Kafka against `telebeat annotate`",
        "",
        f"{names}: {figures['frames']} frames at {figures['speed']} × real time through the embedded Apache Kafka, "
        f"{figures['annotations']} annotations and {figures['alerts']} messages of alerts: {verdict} ({sizes}).",
    ]


def annotate(figures: dict[str, Any]) -> list[str]:
    """What `benchmarks.annotate` found, as Markdown."""
    lines = [
        "## `telebeat annotate` over the DS1 records of mitdb",
        "",
        f"{figures['records']} records, {figures['signal_h']:g} h of signal, {figures['runs']} runs of one process "
        "after a warm-up; median (min to max). Development scores: model and limits were chosen on these records.",
        "",
        "| | × real time | seconds |",
        "|---|---|---|",
    ]
    for name, text in (("work", "work"), ("whole", "whole command"), ("cpu", "processor time of the command")):
        x, took = parts.spread_text(figures[f"x_real_time_{name}"]), parts.spread_text(figures[f"{name}_s"])
        lines.append(f"| {text} | {x} | {took} |")
    lines += ["", f"Peak memory {parts.spread_text(figures['peak_mb'])} MB.", ""]
    lines += [f"| EC57, % | {' | '.join(HEADINGS.values())} |", "|---" * (len(HEADINGS) + 1) + "|"]
    for period, kinds in figures["scores"].items():
        for kind, values in kinds.items():
            cells = " | ".join("–" if values[name] is None else f"{values[name]:.2f}" for name in HEADINGS)
            lines.append(f"| {period}, {kind} | {cells} |")
    return lines


def ward_of_64(figures: dict[str, Any]) -> list[str]:
    """What `benchmarks.ward_of_64` found, as Markdown."""
    first = figures["runs"][0]
    lines = [
        f"## {figures['beds']} beds at real time through Kafka",
        "",
        f"{len(figures['runs'])} runs of {figures['seconds']:g} s, {first['source']}; {first['frames']} frames, "
        f"{first['beats']} beats and {sum(first['alerts'].values())} alerts in the first. Kafka, replay, monitor and "
        "Prometheus share this machine. Milliseconds, median (min to max) of the runs.",
        "",
        f"| stage | {' | '.join(STAGES)} |",
        "|---" * (len(STAGES) + 1) + "|",
    ]
    for stage, named in figures["latency_ms"].items():
        cells = " | ".join(parts.spread_text(named[q]) if q in named else "–" for q in STAGES)
        lines.append(f"| {stage.replace('_', ' ')} | {cells} |")
    shares = figures["cpu_percent_of_a_core"].items()
    lines += ["", "Of one core: " + ", ".join(f"{name} {parts.spread_text(share)} %" for name, share in shares) + "."]
    missing = figures.get("panels_without_data")
    if missing is None:
        lines.append("No Prometheus was there to look at the panels.")
    elif missing:
        lines += ["Panels without data:", "", *(f"* {query}" for query in missing)]
    else:
        lines.append(f"A real Prometheus found data for all {figures['queries']} queries of both dashboards.")
    return lines


BENCHMARKS: Final[dict[str, Callable[[dict[str, Any]], list[str]]]] = {
    "same_bytes": same_bytes,
    "annotate": annotate,
    "ward_of_64": ward_of_64,
}


def table() -> str:
    """The page of all results there are."""
    lines = ["# Results", "", "Made by `make bench` from the JSON files beside it; not to be edited.", ""]
    for name, section in BENCHMARKS.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            figures = json.loads(file.read_text(encoding="utf-8"))
            lines += [*section(figures), "", *_machine(name, figures["machine"]), ""]
    return "\n".join(lines)


def _machine(name: str, machine: dict[str, Any]) -> list[str]:
    """Where and when, and the command that does it again."""
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    return [
        f"`python -m benchmarks.{name}`, {machine['date']}, commit {machine['commit']}, {machine['cores']} cores of "
        f"{machine['cpu']}, {machine['memory_gb']:g} GB, load before {machine['load_before']:g}; "
        f"Python {machine['python']}, {versions}."
    ]


def main() -> None:
    """Run the benchmarks asked for and make the table."""
    parser = argparse.ArgumentParser(description="Measure annotate, same_bytes, ward_of_64; write benchmarks/results.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().name or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(RESULTS / f"{name}.json")]
        if subprocess.run(command, cwd=parts.ROOT, check=False).returncode:
            failed.append(name)
        print(f"    {time.monotonic() - began:.0f} s\n", flush=True)
        (RESULTS / "README.md").write_text(table(), encoding="utf-8")
    print(f"written: {RESULTS / 'README.md'}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
