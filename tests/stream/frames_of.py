"""Frames for tests: made-up samples of made-up beds."""

from __future__ import annotations

import numpy as np

from stream.frames import Frame

RATE_MHZ = 250_000
START_US = 1_700_000_000_000_000
DEEP = b"\x91" * 5000 + b"\x00"  # in MessagePack a list in a list in a list ...


def frame(bed: str, first: int, instants: int = 62, *, seq: int = 0, seed: int = 0, ingest_us: int = START_US) -> Frame:
    """A frame of bed's samples `first` ...; the same samples whatever the cut."""
    at = np.arange(first, first + instants)
    noise = np.random.default_rng([seed, *bed.encode()]).integers(-50, 50, 4096)[at % 4096]
    loud = np.where((at // 500) % 4 == 3, 2000, 0) * (at % 7 == 0)
    samples = np.stack([noise + loud, -noise], axis=1).astype("<i2")
    return Frame(
        bed=bed,
        seq=seq,
        first_sample=first,
        device_time_us=START_US + first * 4000,
        ingest_time_us=ingest_us,
        rate_mHz=RATE_MHZ,
        leads=("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V1"),
        units_per_bit=(0.005, 0.005),
        data=samples.tobytes(),
    )


def stream_of(bed: str, frames: int, *, instants: int = 62, ingest_us: int = START_US) -> list[Frame]:
    """The first `frames` frames of a bed."""
    return [frame(bed, i * instants, instants, seq=i, ingest_us=ingest_us) for i in range(frames)]
