"""A look at every bed of a ward at once, for the shell around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.wire import Rule


@dataclass(frozen=True)
class BedView:
    """What the shell may ask of a bed."""

    last_ingest_time_us: int
    leads: tuple[int, ...]
    active: tuple[Rule, ...]


def views(table: Any, rows: Mapping[str, int]) -> dict[str, BedView]:
    """The beds in these rows of the ward's table.

    Column by column: it is asked for once a second, and the beds a ward has ever seen can be thousands.
    """
    at = np.fromiter(rows.values(), np.intp, len(rows))
    active: list[list[Rule]] = [[] for _ in rows]
    for which, rule in np.argwhere(table["rules"]["rule"]["active"][at]).tolist():
        active[which].append(Rule(rule))
    heard = table["intake"]["ingest_us"][at].tolist()
    declared = table["declared"][at].tolist()
    leads = table["rules"]["leads"][at].tolist()
    return {bed: BedView(heard[i], tuple(declared[i][: leads[i]]), tuple(active[i])) for i, bed in enumerate(rows)}
