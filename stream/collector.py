"""What a ward says: gathered event by event from the kernels, taken as one output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from detector.types import TICK_MS
from model.codes import CLASSES
from stream import catalogue, conditions, rhythm
from stream.intake import Event, time_of
from stream.wire import Alert, Batch, Beat, Mark, Revision, Rule


@dataclass
class Output:
    """What became known: per bed a batch of beats and marks, alerts in order, counts of what was out of order.

    `faults` are beds that met a bug, with the error, for the log; each is counted as `Event.FAULT` too. `heard` are
    beds that sent something new, and when the gateway sent it, µs since the Unix epoch.
    """

    batches: list[Batch] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    events: Counter[Event] = field(default_factory=Counter)
    faults: list[tuple[str, Exception]] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)


class Timebase(NamedTuple):
    """What a sample number of a bed means: at which rate it counts, and how often the device has begun anew."""

    rate_mHz: int
    numbering: int

    @classmethod
    def of(cls, intake_row: Any) -> Self:
        """That of a bed's `INTAKE`."""
        return cls(int(intake_row["rate_mHz"]), int(intake_row["numbering"]))


class Collector:
    """Gathers events of the kernels into an `Output`."""

    def __init__(self) -> None:
        self.output = Output()
        #: Beats, revisions and marks of each bed in each count, in the order in which they were first spoken of.
        self._said: dict[tuple[str, Timebase], tuple[list[Beat], list[Revision], list[Mark]]] = {}

    def _of(self, bed: str, count: Timebase) -> tuple[list[Beat], list[Revision], list[Mark]]:
        return self._said.setdefault((bed, count), ([], [], []))

    def beat(self, bed: str, intake_row: Any, beat: Any) -> None:
        """Add a `bed.BEAT`."""
        count = Timebase.of(intake_row)
        self._of(bed, count)[0].append(
            Beat(
                sample=int(beat["sample"]),
                label=CLASSES[int(beat["label"])],
                probability=round(float(beat["probability"]), 4),
                token=int(beat["token"]),
                rr_ms=round(int(beat["rr"]) * 1e6 / count.rate_mHz, 2),
                found_ms=int(beat["found"]) * TICK_MS,
                known_ms=int(beat["known"]) * TICK_MS,
            )
        )

    def revise(self, bed: str, intake_row: Any, revision: Any) -> None:
        """Add a `bed.REVISION`."""
        self._of(bed, Timebase.of(intake_row))[1].append(
            Revision(
                sample=int(revision["sample"]),
                label=CLASSES[int(revision["label"])],
                probability=round(float(revision["probability"]), 4),
                known_ms=int(revision["known"]) * TICK_MS,
            )
        )

    def mark(self, bed: str, intake_row: Any, mark: Any) -> None:
        """Add a `rhythm.MARK`."""
        symbol = ("+", "~", "[", "]")[int(mark["kind"])]
        code = int(mark["code"])
        aux = rhythm.AUX[code] if symbol == "+" else ""
        subtype = code if symbol == "~" else 0
        self._of(bed, Timebase.of(intake_row))[2].append(Mark(int(mark["sample"]), symbol, aux, subtype))

    def raise_(
        self,
        bed: str,
        row: Any,
        rule: Rule,
        onset: int,
        decided: int,
        evidence: tuple[float, ...],
        onset_us: int | None = None,
    ) -> None:
        """Add that an alert is raised, unless it is active.

        Parameters
        ----------
        bed : str
        row : BED
            The bed's, changed.
        rule : Rule
        onset, decided : int
            Samples.
        evidence : tuple of float
            At most `conditions.EVIDENCE`, as named in `catalogue`.
        onset_us : int, optional
            As of `alert`.
        """
        out = np.zeros(1, conditions.TRANSITION)
        a, b, c = (*evidence, *(0.0,) * (conditions.EVIDENCE - len(evidence)))
        if conditions.raise_(out, 0, row["rules"], int(rule), onset, decided, a, b, c):
            self.alert(bed, row["intake"], out[0], onset_us)

    def clear(self, bed: str, row: Any, rule: Rule, sample: int) -> None:
        """Add that an alert ends, if it is active."""
        out = np.zeros(1, conditions.TRANSITION)
        if conditions.clear(out, 0, row["rules"], int(rule), sample):
            self.alert(bed, row["intake"], out[0])

    def alert(self, bed: str, intake_row: Any, move: Any, onset_us: int | None = None) -> None:
        """Add how an alert stands; its onset has the time it was first told with, though the clock be set meanwhile.

        Parameters
        ----------
        bed : str
        intake_row : INTAKE
            The bed's, changed.
        move : conditions.TRANSITION
        onset_us : int, optional
            Device time of the onset, if it does not follow from its sample.
        """
        rule = int(move["rule"])
        if move["raised"]:
            now_us = time_of(intake_row, int(move["onset"]))
            intake_row["onset_us"][rule] = now_us if onset_us is None else onset_us
        anchor = (int(intake_row["anchor_sample"]), int(intake_row["anchor_us"]))
        numbering, onset_us = int(intake_row["numbering"]), int(intake_row["onset_us"][rule])
        alert = catalogue.alert(bed, int(intake_row["rate_mHz"]), anchor, move, numbering, onset_us)
        self.output.alerts.append(alert)

    def fault(self, bed: str, error: Exception) -> None:
        """Add that a bed met a bug."""
        self.output.events[Event.FAULT] += 1
        self.output.faults.append((bed, error))

    def take(self) -> Output:
        """Everything gathered since the last call."""
        for (bed, count), (beats_, revisions, marks) in self._said.items():
            said = tuple(beats_), tuple(revisions), tuple(marks)
            self.output.batches.append(Batch(bed, count.rate_mHz, *said, count.numbering))
        output = self.output
        self.output = Output()
        self._said = {}
        return output
