"""How many true and false bedside alarms telebeat raises: `python -m benchmarks.alarms_cinc2015 [--data-dir DIR]`.

The records of the PhysioNet/CinC Challenge 2015 (Clifford et al., Physiol Meas 37(8), 2016) are the five minutes before
a bedside monitor raised an alarm; experts judged each alarm true or false. Each record runs through the ward as
`telebeat annotate` runs it. An alarm counts as raised when an alert of a rule that stands for it was active at any
time within the last 16 s before the bedside's alarm, decided no later than it. The table shows the share of the true
alarms raised (TPR), of the false ones suppressed (TNR), and the Challenge score, in which a missed true alarm costs
five times as much: (TP + TN) / (TP + TN + FP + 5 FN).

The alarm stands at 300 s; records that are longer are judged up to there, as the Challenge's first event does. Only
ECG leads are looked at: the Challenge's pulse signals are not used.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import parts
from model.reader import Reader
from stream.annotate import annotate
from stream.errors import RecordError
from stream.figures import percent
from stream.settings import data_dirs
from stream.ward import Ward

ALARM_S = 300.0  # where the bedside's alarm stands in every record
WINDOW_S = 16.0  # the condition begins at most 10 s before the alarm; 6 s for the bedside's own delay
MISSED = 5  # what a missed true alarm costs against a false one raised

#: Rules of which any one stands for a bedside's alarm: what calls the same people with the same urgency.
STANDS_FOR = {
    "Asystole": ("asystole",),
    "Bradycardia": ("extreme_bradycardia", "asystole"),
    "Tachycardia": ("extreme_tachycardia", "ventricular_tachycardia", "ventricular_fibrillation"),
    "Ventricular_Tachycardia": ("ventricular_tachycardia", "ventricular_fibrillation"),
    "Ventricular_Flutter_Fib": ("ventricular_fibrillation",),
}


def raised(path: Path, rules: tuple[str, ...]) -> bool:
    """Whether an alert of these rules was active within the window.

    Parameters
    ----------
    path : Path
        The record's alerts, as `annotate` writes them.
    rules : tuple of str
    """
    windows: dict[str, tuple[float, float]] = {}  # from decision to end of each alert, s
    for line in path.read_text(encoding="utf-8").splitlines():
        alert = json.loads(line)
        if alert["rule"] in rules:
            cleared = alert["cleared_sample"]
            end = float("inf") if cleared is None else cleared / alert["rate_hz"]
            windows[alert["id"]] = (alert["decided_sample"] / alert["rate_hz"], end)
    return any(decided <= ALARM_S and end >= ALARM_S - WINDOW_S for decided, end in windows.values())


def listed(file: Path) -> list[tuple[str, str, bool]]:
    """Record, alarm and whether it was true, of each line of a set's list; a line of headings is passed over.

    Raises
    ------
    RecordError
        A line has other columns, or an alarm that is none of the Challenge's.
    """
    found = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, line in enumerate(csv.reader(lines), 1):
            cells = [cell.strip() for cell in line]
            if not any(cells) or cells[:3] == ["record", "alarm", "true"]:
                continue
            if len(cells) < 3 or cells[1] not in STANDS_FOR or cells[2] not in ("0", "1"):
                raise RecordError(
                    f"{file}, line {number}: {','.join(line)!r} is not record,alarm,true with one of "
                    f"{', '.join(STANDS_FOR)} and 0 or 1; correct it"
                )
            found.append((cells[0], cells[1], cells[2] == "1"))
    return found


def judge(folder: Path) -> tuple[Counter[tuple[str, bool, bool]], dict[str, list[str]]]:
    """Run every record: counts of (alarm, true, raised), and the records told wrongly by alarm and kind."""
    alarms = listed(folder / "ALARMS")
    ward = Ward(Reader.load())
    counts: Counter[tuple[str, bool, bool]] = Counter()
    wrong: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        for record, alarm, true in track(alarms, "records", console=Console(stderr=True), transient=True):
            annotate(folder / record, out, ward)
            found = raised(out / f"{record}.alerts.jsonl", STANDS_FOR[alarm])
            counts[alarm, true, found] += 1
            if true != found:
                wrong.setdefault(f"{alarm} {'missed' if true else 'false'}", []).append(record)
    return counts, wrong


def score(tp: int, fn: int, fp: int, tn: int) -> float | None:
    """The Challenge score, %; None of no alarm at all."""
    return _share(tp + tn, tp + tn + fp + MISSED * fn)


def _share(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with cinc2015/; default: the usual places")
    parser.add_argument("--wrong", action="store_true", help="also name the records told wrongly")
    parser.add_argument("--json", type=parts.numbers_file, help="write the counts here")
    arguments = parser.parse_args()
    folders = data_dirs(arguments.data_dir)
    folder = next((f / "cinc2015" for f in folders if (f / "cinc2015" / "ALARMS").is_file()), None)
    if folder is None:
        parser.error("no cinc2015/ALARMS found; name the folder of the databases with --data-dir")
    try:
        counts, wrong = judge(folder)
    except RecordError as error:
        parser.exit(2, f"{error}\n")
    table = Table("alarm", "true", "raised", "TPR %", "false", "raised", "TNR %", "score", title="Challenge 2015")
    total = [0, 0, 0, 0]
    for alarm in STANDS_FOR:
        found = [counts[alarm, t, f] for t, f in ((True, True), (True, False), (False, True), (False, False))]
        total = [a + b for a, b in zip(total, found, strict=True)]
        table.add_row(alarm, *_cells(*found))
    table.add_section()
    table.add_row("all", *_cells(*total))
    Console(width=110).print(table)
    if arguments.wrong:
        for kind, records in wrong.items():
            print(f"{kind}: {' '.join(records)}")
    if arguments.json is not None:
        rows = [{"alarm": a, "true": t, "raised": f, "records": n} for (a, t, f), n in sorted(counts.items())]
        arguments.json.write_text(json.dumps({"counts": rows, "wrong": wrong}, indent=1) + "\n", encoding="utf-8")


def _cells(tp: int, fn: int, fp: int, tn: int) -> list[str]:
    tpr, tnr = (percent(_share(part, whole), 1) for part, whole in ((tp, tp + fn), (tn, tn + fp)))
    return [str(tp + fn), str(tp), tpr, str(fp + tn), str(fp), tnr, percent(score(tp, fn, fp, tn), 1)]


if __name__ == "__main__":
    main()
