"""What the shell is shown of the beds is what their rows hold, and costs little however many there are."""

from __future__ import annotations

import time

import numpy as np

from stream import bed as beds
from stream.views import BedView, views
from stream.wire import Rule


def table(size: int) -> np.ndarray:
    """Rows of any contents."""
    made = np.zeros(size, beds.BED)
    dice = np.random.default_rng(4)
    made["rules"]["rule"]["active"] = dice.random(made["rules"]["rule"]["active"].shape) < 0.1
    made["rules"]["leads"] = dice.integers(0, made["declared"].shape[1] + 1, size)
    made["declared"] = dice.integers(0, 5, made["declared"].shape)
    made["intake"]["ingest_us"] = dice.integers(0, 2**53, size)
    return made


def one_by_one(made: np.ndarray, row: int) -> BedView:
    bed = made[row]
    active = tuple(rule for rule in Rule if bed["rules"]["rule"][rule]["active"])
    leads = tuple(int(s) for s in bed["declared"][: int(bed["rules"]["leads"])])
    return BedView(int(bed["intake"]["ingest_us"]), leads, active)


def test_the_view_is_what_the_rows_hold() -> None:
    made = table(32)
    rows = {f"bed {row}": row for row in (31, 0, 7, 8, 30)}
    assert views(made, rows) == {bed: one_by_one(made, row) for bed, row in rows.items()}
    assert views(made, {}) == {}


def test_many_beds_are_looked_at_together() -> None:
    made = table(1000)
    rows = {f"bed {row}": row for row in range(1000)}

    def seconds(look: object) -> float:
        began = time.process_time()
        look()  # type: ignore[operator]
        return time.process_time() - began

    together = min(seconds(lambda: views(made, rows)) for _ in range(5))
    singly = min(seconds(lambda: [one_by_one(made, row) for row in range(1000)]) for _ in range(3))
    assert together < singly / 2
