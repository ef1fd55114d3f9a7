"""What `telebeat bench detector` measures on and what it writes: records, mixes with noise, tables, a chart."""

from __future__ import annotations

import csv
import datetime as dt
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from model import noise
from model.bench import OURS, OURS_ALL, Case
from model.ec57 import Annotations, read
from model.ec57.annotations import CLASS_OF
from model.strip import Strip
from replay.records import Record, find_records, read_record
from stream.errors import RecordError, SettingsError

#: Records of mitdb that noise is added to: of those for development, the ones with the least noise of their own and an
#: ordinary share of ectopic beats. 118 and 119 are not among them: with `em` they would be nstdb's own held-out mixes.
CLEAN: Final = ("101", "112", "115", "122", "205", "209", "220", "230")
CLEAN_DATABASE: Final = "mitdb"
NOISE_DATABASE: Final = "nstdb"

#: What is measured on when nobody says so.
DATABASES: Final = ("mitdb", "svdb", "noise-em")

#: `noise-em-6` is 6 dB, `noise-em_6` is -6 dB, as in the names of nstdb (118e06, 118e_6).
_MIX: Final = re.compile(rf"noise(?:-({'|'.join(noise.KINDS)})(?:([-_])(\d+))?)?")


def expand(names: Sequence[str]) -> list[str]:
    """Databases with `noise` and `noise-em` written out as mixes at each level.

    >>> expand(["svdb", "noise-bw"])
    ['svdb', 'noise-bw-24', 'noise-bw-18', 'noise-bw-12', 'noise-bw-6', 'noise-bw-0', 'noise-bw_6']
    """
    written: list[str] = []
    for name in names:
        found = _MIX.fullmatch(name)
        if name.startswith("noise") and not found:
            raise SettingsError(
                f"{name}: a mix is called noise-KIND-DB, or noise-KIND_DB below 0 dB: noise-em-12, noise-em_6; "
                f"kinds are {', '.join(noise.KINDS)}"
            )
        if not found:
            written.append(name)
            continue
        kinds = (found[1],) if found[1] else noise.KINDS
        if found[3]:
            written.append(name)
        else:
            written += [f"noise-{kind}{'-_'[db < 0]}{abs(db)}" for kind in kinds for db in noise.LEVELS_DB]
    return list(dict.fromkeys(written))


def mixed_db(database: str) -> int | None:
    """Signal-to-noise ratio of a mix, None of a real database."""
    found = _MIX.fullmatch(database)
    return int(found[3]) * (-1 if found[2] == "_" else 1) if found and found[3] else None


def noise_kind(database: str) -> str:
    """Kind of noise of a mix."""
    found = _MIX.fullmatch(database)
    return found[1] if found and found[1] else ""


def cases(folders: Sequence[Path], database: str, chosen: Sequence[str] | None, most: int | None) -> list[Case]:
    """The annotated records of a database, or of a mix.

    Parameters
    ----------
    folders : sequence of Path
        Where databases are.
    database : str
        Its folder's name, or a mix such as ``noise-em-12``.
    chosen : sequence of str, optional
        Names of the records wanted.
    most : int, optional
        Take only so many.

    Raises
    ------
    RecordError
        None is there, or one cannot be read.
    """
    level = mixed_db(database)
    if level is None:
        paths = [path for path in find_records(folders, None, database) if path.with_suffix(".atr").is_file()]
    else:
        paths = find_records(folders, None if chosen else CLEAN, CLEAN_DATABASE)
    if chosen:
        wanted = {name.rsplit("/", 1)[-1] for name in chosen if "/" not in name or name.startswith(f"{database}/")}
        paths = [path for path in paths if path.name in wanted]
    if not paths:
        named = f" called {', '.join(chosen)}" if chosen else ""
        raise RecordError(
            f"{database}: no records with beat annotations{named} in {', '.join(map(str, folders))}; "
            "fetch it with `telebeat download`, or choose others with --databases and --records"
        )
    return [_case(path, database, level, folders) for path in paths[:most]]


def _case(path: Path, database: str, level: int | None, folders: Sequence[Path]) -> Case:
    record = read_record(path)
    truth = read(path.parent, path.name, "atr", record.rate_mhz / 1000)
    strip = Strip.of(record) if level is None else _mixed(record, truth, noise_kind(database), level, folders)
    return Case(database, path.name, strip, truth)


def _mixed(record: Record, truth: Annotations, kind: str, level: int, folders: Sequence[Path]) -> Strip:
    clean = Strip.of(record)
    (path,) = find_records(folders, [kind], NOISE_DATABASE)
    added = Strip.of(read_record(path))
    normal = [s for s, symbol in zip(truth.samples, truth.symbols, strict=True) if CLASS_OF.get(symbol) == "N"]
    every = [s for s, symbol in zip(truth.samples, truth.symbols, strict=True) if symbol in CLASS_OF]
    try:
        mv = noise.mix(clean.mv, normal or every, clean.rate_hz, added.mv[:, : added.leads], added.rate_hz, level)
    except ValueError as error:
        raise RecordError(f"record {record.name} cannot be mixed with {kind}: {error}; choose another") from error
    return Strip.of_mv(mv, clean.rate_hz)


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
    with file.open("w", newline="", encoding="utf-8") as out:
        if rows:
            writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the extra `bench`
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
