"""Compile the ward's kernels before the first frame comes, so that no alarm waits for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.reader import Reader
from stream import bed
from stream.frames import Frame
from stream.ward import Ward

RATE_MHZ: Final = 250_000
FRAMES: Final = 6  # of a second: enough for a beat to be found, read and judged


def compiled(kernel: Any = bed.judge) -> bool:
    """Whether a kernel of this very source has been kept on disk; by default the ward's last and largest."""
    stats = getattr(kernel, "stats", None)  # a plain function where numba is switched off
    return stats is None or any(Path(stats.cache_path).glob(f"*.{kernel.__name__}-*.nbi"))


def announce_compilation(say: Callable[[str], object], kernel: Any = bed.judge) -> None:
    """Say what the first run ever waits for."""
    if not compiled(kernel):
        say("compiling the kernels, once: about a minute")


def warm_up(reader: Reader) -> None:
    """Run a scratch ward over a few made-up beats, a gap and a silence; the compiled kernels stay on disk."""
    ward = Ward(reader)
    instants = RATE_MHZ // 1000
    wave = np.zeros(instants, np.int16)
    wave[100:110] = np.concatenate([np.arange(0, 250, 50), np.arange(250, 0, -50)])  # 1.25 mV, 40 ms: a QRS complex
    data = np.repeat(wave[:, None], 2, axis=1).tobytes()
    for number in [*range(FRAMES), FRAMES + 1]:  # the last after a gap
        frame = Frame(
            bed="warm-up",
            seq=number,
            first_sample=number * instants,
            device_time_us=number * 1_000_000,
            ingest_time_us=number * 1_000_000,
            rate_mHz=RATE_MHZ,
            leads=("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V1"),
            units_per_bit=(0.005, 0.005),
            data=data,
        )
        ward.detect([frame])
        ward.judge()
    ward.silence("warm-up", 60_000_000)


if __name__ == "__main__":
    announce_compilation(print)
    warm_up(Reader.load())
