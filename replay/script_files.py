"""A rendered script as files: a WFDB record, its reference annotations, the alerts to be expected, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import wfdb

from replay.script import Scripted
from stream.errors import RecordError, ScriptError
from stream.frames import INVALID

EXPECTED_SUFFIX: Final = ".expected.json"
STRIP_S: Final = 10.0  # a strip of paper as it hangs in a chart
MOST_STRIPS: Final = 60  # ten minutes: a longer picture cannot be looked at
LEAD_MV: Final = 2.0  # distance of two leads in a picture


def write(scripted: Scripted, folder: Path) -> tuple[Path, ...]:
    """Write ``NAME.hea``, ``NAME.dat``, ``NAME.atr`` and ``NAME.expected.json``; returns their paths.

    Raises
    ------
    RecordError
        If the folder cannot be written to.
    """
    record = scripted.record
    leads = len(record.leads)
    truth = scripted.truth
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wfdb.wrsamp(
            record.name,
            fs=record.rate_mHz / 1000,
            units=["mV"] * leads,
            sig_name=list(scripted.script.patient.leads),
            d_signal=record.samples.astype(np.int64),
            fmt=["16"] * leads,
            adc_gain=[1 / step for step in record.units_per_bit],
            baseline=[0] * leads,
            comments=["synthetic: rendered from a telebeat script"],
            write_dir=str(folder),
        )
        wfdb.wrann(
            record.name,
            "atr",
            np.array([a.sample for a in truth]),
            symbol=[a.symbol for a in truth],
            subtype=np.array([a.subtype for a in truth]),
            aux_note=[a.aux for a in truth],
            write_dir=str(folder),
        )
        expected = folder / f"{record.name}{EXPECTED_SUFFIX}"
        expected.write_bytes(msgspec.json.format(msgspec.json.encode(scripted.expected)) + b"\n")
    except OSError as error:
        raise RecordError(
            f"folder {folder}: the record cannot be written ({error}); choose another with --out"
        ) from error
    return (*(folder / f"{record.name}{suffix}" for suffix in (".hea", ".dat", ".atr")), expected)


def plot(scripted: Scripted, file: Path) -> None:
    """Draw the record with its truth as strips of ten seconds, one below the other.

    Raises
    ------
    ScriptError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415, only pictures need it

    record = scripted.record
    rate = record.rate_mHz / 1000
    strips = min(MOST_STRIPS, max(1, int(np.ceil(record.seconds / STRIP_S))))
    signal = np.where(record.samples == INVALID, np.nan, record.samples * np.array(record.units_per_bit))
    height = LEAD_MV * len(record.leads)
    figure = Figure(figsize=(16, strips * (0.8 * height * 0.5 + 0.5)), layout="constrained")
    for number, axes in enumerate(figure.subplots(strips, 1, squeeze=False)[:, 0]):
        begin = number * STRIP_S
        part = slice(round(begin * rate), round((begin + STRIP_S) * rate))
        seconds = np.arange(part.start, part.start + len(signal[part])) / rate
        for i, lead in enumerate(scripted.script.patient.leads):
            axes.plot(seconds, signal[part, i] - LEAD_MV * i, color="black", linewidth=0.7)
            axes.text(begin, 0.6 - LEAD_MV * i, f" {lead}", fontsize=7)
        for a in scripted.truth:
            if part.start <= a.sample < part.stop:
                axes.text(
                    a.sample / rate, 1.5, a.symbol if not a.aux else f"{a.symbol} {a.aux}", fontsize=7, color="tab:red"
                )
        axes.set(
            xlim=(begin, begin + STRIP_S),
            ylim=(1.2 - height, 1.9),
            xticks=np.arange(begin, begin + STRIP_S + 1),
            yticks=[],
        )
        axes.grid(alpha=0.3)
    try:
        figure.savefig(file, dpi=80)
    except (OSError, ValueError) as error:
        raise ScriptError(f"picture {file}: it cannot be written ({error}); name a .png, .svg or .pdf file") from error
