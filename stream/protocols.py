"""The ward as the shell around it sees it: what the service may ask of the analysis, and nothing of how it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from stream.frames import Frame
from stream.intake import Event, StreamPosition
from stream.wire import Alert, Batch, Rule


class Bed(Protocol):
    """A look at one bed."""

    @property
    def last_ingest_time_us(self) -> int:
        """Gateway's stamp in its newest frame, µs since the Unix epoch."""

    @property
    def leads(self) -> Sequence[int]:
        """State of each analysed lead, `detector.types.GOOD` ... `OFF`."""

    @property
    def active(self) -> Collection[Rule]:
        """Rules whose alert stands now."""


class AnalysisOutput(Protocol):
    """What the analysis has to say."""

    @property
    def batches(self) -> list[Batch]:
        """Beats and marks, at most one batch a bed."""

    @property
    def alerts(self) -> list[Alert]:
        """Alerts raised or cleared, in the order of the decisions."""

    @property
    def events(self) -> Counter[Event]:
        """Technical events of the input, counted."""

    @property
    def heard(self) -> Mapping[str, int]:
        """Beds that sent something new, and when the gateway sent it, µs since the Unix epoch."""

    @property
    def faults(self) -> list[tuple[str, Exception]]:
        """Beds that met a bug and learn anew, with the error."""


class Analysis(Protocol):
    """`stream.ward.Ward`, or a stand-in for it in a test. No clock, no I/O; never called from two threads at once."""

    @property
    def beds(self) -> Mapping[str, Bed]:
        """Every bed it holds state of."""

    def detect(self, frames: Sequence[Frame]) -> None:
        """Take frames of any beds, in order for each bed, at most a second of signal of each."""

    def judge(self) -> AnalysisOutput:
        """What follows from everything detected since the last call."""

    def silence(self, bed: str, now_us: int) -> AnalysisOutput:
        """Nothing came from this bed up to now, by its gateway's clock, and there was nothing left to read."""

    def snapshot(self, bed: str) -> bytes:
        """The bed's whole state."""

    def restore(self, bed: str, data: bytes) -> None:
        """Go on from a snapshot; raises `TelebeatError` if this version cannot read it."""

    def position(self, bed: str) -> StreamPosition:
        """Where the bed is in its stream of frames."""

    def begin(self, bed: str, position: StreamPosition) -> AnalysisOutput:
        """Watch a bed of which only its position is known."""

    def expect(self, bed: str, now_us: int) -> None:
        """Watch a bed that was never heard: something came of it, but nothing that can be read."""

    def forget(self, bed: str) -> None:
        """Drop the bed."""
