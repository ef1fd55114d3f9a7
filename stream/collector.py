"""What a ward says: gathered event by event from the kernels, taken as one output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detector.types import TICK_MS
from model.codes import CLASSES
from stream import rhythm
from stream.intake import Event
from stream.wire import Alert, Batch, Beat, Mark, Revision


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


class Collector:
    """Gathers events of the kernels into an `Output`."""

    def __init__(self) -> None:
        self.output = Output()
        #: Beats, revisions and marks of each bed in each count, in the order in which they were first spoken of.
        self._said: dict[tuple[str, Timebase], tuple[list[Beat], list[Revision], list[Mark]]] = {}

    def _of(self, bed: str, count: Timebase) -> tuple[list[Beat], list[Revision], list[Mark]]:
        return self._said.setdefault((bed, count), ([], [], []))

    def beat(self, bed: str, count: Timebase, beat: Any) -> None:
        """Add a `bed.BEAT`."""
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

    def revise(self, bed: str, count: Timebase, revision: Any) -> None:
        """Add a `bed.REVISION`."""
        self._of(bed, count)[1].append(
            Revision(
                sample=int(revision["sample"]),
                label=CLASSES[int(revision["label"])],
                probability=round(float(revision["probability"]), 4),
                known_ms=int(revision["known"]) * TICK_MS,
            )
        )

    def mark(self, bed: str, count: Timebase, mark: Any) -> None:
        """Add a `rhythm.MARK`."""
        symbol = ("+", "~", "[", "]")[int(mark["kind"])]
        code = int(mark["code"])
        aux = rhythm.AUX[code] if symbol == "+" else ""
        subtype = code if symbol == "~" else 0
        self._of(bed, count)[2].append(Mark(int(mark["sample"]), symbol, aux, subtype))

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
