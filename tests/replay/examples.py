"""Records made for tests."""

from __future__ import annotations

import datetime as dt

import numpy as np
from hypothesis import strategies as st

from replay.records import Record


def record(
    name: str = "r", rate_mHz: int = 250_000, length: int = 1000, leads: int = 2, start: dt.datetime | None = None
) -> Record:
    """A record in which each sample tells its own index: lead 0 counts, the others count from 1000 on."""
    samples = (np.arange(length)[:, None] + 1000 * np.arange(leads)).astype(np.int16)
    names = tuple(f"MDC_ECG_LEAD_V{i + 1}" for i in range(leads))
    return Record(name, rate_mHz, names, (0.005,) * leads, samples, start)


def records(shortest: int = 1, longest: int = 3000) -> st.SearchStrategy[Record]:
    """Records of any rate, length and number of leads."""
    return st.builds(
        record,
        rate_mHz=st.one_of(st.integers(100_000, 1_000_000), st.sampled_from([128_000, 250_000, 257_000, 360_000])),
        length=st.integers(shortest, longest),
        leads=st.integers(1, 12),
        start=st.one_of(
            st.none(), st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2254, 1, 1), timezones=st.just(dt.UTC))
        ),
    )
