"""What the monitor says over Kafka equals what `telebeat annotate` writes: `python -m benchmarks.same_bytes`.

Byte for byte. The real processes, as a user starts them: broker, `telebeat topics create`, `telebeat monitor`,
`telebeat replay --clock record --once`, `telebeat tail alerts beats --out A`; then `telebeat annotate --out B`. Ends
with status 1 and the first differences when A and B are not equal.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import wfdb

from benchmarks import parts
from stream.annotations import ANNOTATOR
from stream.errors import TelebeatError
from stream.settings import KafkaSettings

#: "Bed silent" is decided by the wall clock and not by samples: a record that is over shall not raise it.
LONGEST_SILENCE_S: Final = "300"  # the longest there may be: far more than a replay waits
SHOWN: Final = 12  # lines of a difference: the first is what matters
DRAIN_S: Final = 120.0  # for the monitor to read what the replay has sent


def through_kafka(
    cluster: KafkaSettings, records: Sequence[str], out: Path, speed: str, more: Sequence[str] = ()
) -> dict[str, Any]:
    """Play records through a monitor and collect what it says in `out`.

    Parameters
    ----------
    cluster : KafkaSettings
        Topics are made on it.
    records : sequence of str
        As `telebeat replay` takes them.
    out : Path
        Gets ``NAME.tb`` and ``NAME.alerts.jsonl``.
    speed : str
        Times real time.
    more : sequence of str
        Further options of `telebeat replay`.

    Returns
    -------
    dict
        Messages sent, seconds the replay took, latencies of the stages in ms.
    """
    parts.telebeat("topics", "create", cluster=cluster)
    with parts.Monitor(cluster, "--silent-after-s", LONGEST_SILENCE_S) as monitor:
        began = time.monotonic()
        parts.telebeat("replay", *records, "--clock", "record", "--once", "--speed", speed, *more, cluster=cluster)
        took = time.monotonic() - began
        frames = monitor.wait_for_all(DRAIN_S)
        latency = monitor.latency
    parts.telebeat("tail", "alerts", "beats", "--since", "begin", "--until-end", "--out", str(out), cluster=cluster)
    return {"frames": frames, "replay_s": round(took, 1), "latency_ms": latency}


def differences(a: Path, b: Path) -> list[str]:
    """Where two folders of annotations and alerts differ; empty when every file is there in both, with equal bytes."""
    found: list[str] = []
    for name in sorted({path.name for folder in (a, b) for path in folder.iterdir()}):
        missing = [str(folder) for folder in (a, b) if not (folder / name).is_file()]
        if missing:
            found.append(f"{name}: not in {missing[0]}")
        elif (a / name).read_bytes() != (b / name).read_bytes():
            lines = difflib.unified_diff(
                _lines(a / name), _lines(b / name), str(a / name), str(b / name), "", "", 1, ""
            )
            found += itertools.islice(lines, SHOWN)
    return found


def _lines(file: Path) -> list[str]:
    """A file as text: an annotation a line, or as it is."""
    if file.suffix != f".{ANNOTATOR}":
        return file.read_text(encoding="utf-8").splitlines()
    said = wfdb.rdann(str(file.with_suffix("")), ANNOTATOR)
    return [f"{said.sample[i]} {said.symbol[i]} {said.subtype[i]} {said.aux_note[i]}" for i in range(said.ann_len)]


def measure(records: Sequence[str], speed: str, data_dir: Path | None, folder: Path) -> dict[str, Any]:
    """Both ways, and whether they are equal."""
    figures: dict[str, Any] = {"machine": parts.machine(), "records": list(records), "speed": speed}
    where = [] if data_dir is None else ["--data-dir", str(data_dir)]
    kafka, straight = folder / "kafka", folder / "annotate"
    with parts.own_cluster() as cluster:
        figures |= through_kafka(cluster, records, kafka, speed, where)
    named = [word for record in records for word in ("--records", record)]
    parts.telebeat("annotate", *named, "--out", str(straight), *where)
    figures["differences"] = differences(kafka, straight)
    figures["bytes"] = {path.name: path.stat().st_size for path in sorted(kafka.iterdir())}
    figures["alerts"] = sum(len(path.read_text().splitlines()) for path in kafka.glob("*.alerts.jsonl"))
    figures["annotations"] = sum(len(_lines(path)) for path in kafka.glob(f"*.{ANNOTATOR}"))
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print what came out."""
    records = ", ".join(figures["records"])
    print(f"{records}: {figures['frames']} frames at {figures['speed']} x real time in {figures['replay_s']} s")
    for name, size in figures["bytes"].items():
        print(f"  {name}: {size} bytes")
    print(f"  {figures['annotations']} annotations, {figures['alerts']} messages of alerts")
    print("\n".join(["NOT equal", *figures["differences"]]) if figures["differences"] else "equal")


def main() -> None:
    """Read the command line, compare, print."""
    parser = argparse.ArgumentParser(description="Compare the monitor over Kafka with telebeat annotate.")
    parser.add_argument("--record", action="append", help="such as mitdb/208, the default; may be repeated")
    parser.add_argument("--speed", default="60", help="times real time, or max")
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    parser.add_argument("--json", type=parts.numbers_file, help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = measure(arguments.record or ["mitdb/208"], arguments.speed, arguments.data_dir, Path(folder))
        except TelebeatError as error:
            sys.exit(f"error: {error}")
        show(figures)
    parts.write(arguments.json, figures)
    sys.exit(1 if figures["differences"] else 0)


if __name__ == "__main__":
    main()
