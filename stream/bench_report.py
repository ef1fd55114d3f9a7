"""What `telebeat bench detector` writes: tables, a chart, and on what machine they were made."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.bench import OURS, OURS_ALL
from model.cases import mixed_db, noise_kind
from stream import outputs


def machine() -> dict[str, Any]:
    """On what and when: figures of speed mean nothing without."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def write_csv(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of equal keys as CSV; lists joined by blanks."""
    outputs.write_rows(file, [{key: _cell(value) for key, value in row.items()} for row in rows])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {text}" for name, text in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else value


COLOURS: Final = {OURS: "#cc1f2f", OURS_ALL: "#e0912f"}
FAINT: Final = "#8b8f9a"  # theirs
WIDTH_IN, HEIGHT_IN = 15.0, 6.5


def draw(file: Path, rows: Sequence[dict[str, Any]], speed: Sequence[dict[str, Any]]) -> None:
    """Errors on each real database, F1 over noise, and speed, side by side; ours in colour.

    Parameters
    ----------
    file : Path
        Picture to write.
    rows : sequence of dict
        Of `model.bench.summarise`; those from 5:00 on are drawn.
    speed : sequence of dict
        Of `model.bench.Speed.as_dict`; those with the most beds are drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    FigureCanvasAgg(figure)
    rows = [row for row in rows if row["period"] == "from 5:00" and row["f1"] is not None]
    real = [row for row in rows if mixed_db(row["database"]) is None]
    noisy = [row for row in rows if mixed_db(row["database"]) is not None]
    parts = [part for part, there in (("real", real), ("noise", noisy), ("speed", speed)) if there]
    for axes, part in zip(np.atleast_1d(figure.subplots(1, max(len(parts), 1))), parts, strict=False):
        if part == "real":
            _draw_errors(axes, real)
        elif part == "noise":
            _draw_noise(axes, noisy)
        else:
            _draw_speed(axes, speed)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=130)


def _colour(detector: str) -> str:
    return COLOURS.get(detector, FAINT)


def _draw_errors(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["detector"] for row in rows))[::-1]
    for database, marker in zip(dict.fromkeys(row["database"] for row in rows), "osD^vP*X" * 4, strict=False):
        some = [row for row in rows if row["database"] == database]
        axes.scatter(
            [max(100 - row["f1"], 0.01) for row in some],
            [names.index(row["detector"]) for row in some],
            edgecolors=[_colour(row["detector"]) for row in some],
            facecolors=["none" if row["subset"] else _colour(row["detector"]) for row in some],
            marker=marker,
            label=database,
        )
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", which="both", alpha=0.2)
    axes.set_xlabel("100 − F1, per cent (less is better)")
    axes.set_title("QRS errors from 5:00; hollow: fewer records")
    axes.legend()


def _draw_noise(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    for kind in dict.fromkeys(noise_kind(row["database"]) for row in rows):
        for name in dict.fromkeys(row["detector"] for row in rows):
            some = [row for row in rows if row["detector"] == name and noise_kind(row["database"]) == kind]
            points = sorted((mixed_db(row["database"]) or 0, row["f1"]) for row in some)
            ours = name in COLOURS
            style = {"em": "-", "ma": "--", "bw": ":"}[kind]
            label = f"{kind}: {name if ours else 'the others'}"
            axes.plot(
                *zip(*points, strict=True),
                f"{style}o",
                ms=3,
                c=_colour(name),
                lw=1 + ours,
                zorder=2 + ours,
                label=label,
            )
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False)
    axes.grid(alpha=0.2)
    axes.set_xlabel("signal to noise, dB")
    axes.set_title("F1 under noise, per cent, from 5:00")


def _draw_speed(axes: Any, speed: Sequence[dict[str, Any]]) -> None:
    beds = max(row["beds"] for row in speed)
    some = [row for row in speed if row["beds"] == beds][::-1]
    middle = [row["samples_per_cpu_s_median"] / 1e6 for row in some]
    low = [m - row["samples_per_cpu_s_min"] / 1e6 for m, row in zip(middle, some, strict=True)]
    high = [row["samples_per_cpu_s_max"] / 1e6 - m for m, row in zip(middle, some, strict=True)]
    # Points, not bars: on a logarithmic axis the length of a bar means nothing.
    for y, row in enumerate(some):
        axes.errorbar(middle[y], y, xerr=((low[y],), (high[y],)), fmt="o", capsize=3, color=_colour(row["detector"]))
    axes.set_yticks(range(len(some)), [row["detector"] for row in some])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", which="both", alpha=0.2)
    axes.set_xlabel("million samples per CPU second (more is better)")
    axes.set_title(f"Speed, {beds} beds")
