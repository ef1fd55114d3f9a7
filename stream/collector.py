"""What a ward says: gathered event by event from the kernels, taken as one output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

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


class Collector:
    """Gathers events of the kernels into an `Output`."""

    def __init__(self) -> None:
        self.output = Output()
        self._beats: dict[tuple[str, int], list[Beat]] = {}
        self._revisions: dict[tuple[str, int], list[Revision]] = {}
        self._marks: dict[tuple[str, int], list[Mark]] = {}

    def beat(self, bed: str, rate_mhz: int, beat: Any) -> None:
        """Add a `bed.BEAT`."""
        self._beats.setdefault((bed, rate_mhz), []).append(
            Beat(
                sample=int(beat["sample"]),
                label=CLASSES[int(beat["label"])],
                probability=round(float(beat["probability"]), 4),
                token=int(beat["token"]),
                rr_ms=round(int(beat["rr"]) * 1e6 / rate_mhz, 2),
                found_ms=int(beat["found"]) * TICK_MS,
                known_ms=int(beat["known"]) * TICK_MS,
            )
        )

    def revise(self, bed: str, rate_mhz: int, revision: Any) -> None:
        """Add a `bed.REVISION`."""
        self._revisions.setdefault((bed, rate_mhz), []).append(
            Revision(
                sample=int(revision["sample"]),
                label=CLASSES[int(revision["label"])],
                probability=round(float(revision["probability"]), 4),
                known_ms=int(revision["known"]) * TICK_MS,
            )
        )

    def mark(self, bed: str, rate_mhz: int, mark: Any) -> None:
        """Add a `rhythm.MARK`."""
        symbol = ("+", "~", "[", "]")[int(mark["kind"])]
        code = int(mark["code"])
        aux = rhythm.AUX[code] if symbol == "+" else ""
        subtype = code if symbol == "~" else 0
        self._marks.setdefault((bed, rate_mhz), []).append(Mark(int(mark["sample"]), symbol, aux, subtype))

    def ends_fibrillation(self, bed: str, rate_mhz: int, sample: int) -> None:
        """Add the end of a fibrillation whose signal ended before it did."""
        self._marks.setdefault((bed, rate_mhz), []).append(Mark(sample, "]"))

    def fault(self, bed: str, error: Exception) -> None:
        """Add that a bed met a bug."""
        self.output.events[Event.FAULT] += 1
        self.output.faults.append((bed, error))

    def take(self) -> Output:
        """Everything gathered since the last call."""
        for key in dict.fromkeys([*self._beats, *self._marks]):  # a revision comes with the beat that gave rise to it
            beats_, revisions = self._beats.get(key, []), self._revisions.get(key, [])
            batch = Batch(key[0], key[1], tuple(beats_), tuple(revisions), tuple(self._marks.get(key, [])))
            self.output.batches.append(batch)
        output = self.output
        self.output = Output()
        self._beats, self._revisions, self._marks = {}, {}, {}
        return output
